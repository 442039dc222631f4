package main

import (
	"fmt"
	"os"
	"path/filepath"
)

type exportCmd struct {
	File  string `arg:"" help:"The SQLite file to write."`
	Force bool   `help:"Replace the file if it exists."`
}

// Run copies the database while Porchlight goes on.
func (c exportCmd) Run(a *app) error {
	reader, err := a.reader()
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	if err := reader.Export(a.ctx, c.File, c.Force); err != nil {
		return err
	}
	info, err := os.Stat(c.File)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %.1f MB; any SQLite program reads it\n", filepath.Clean(c.File), float64(info.Size())/1e6)
	return err
}
