// Porchlight tells a house who is home.
//
// This package is the commands and the wiring; the work is done in the others.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"porchlight/config"
)

// version is set when a release is built.
var version = "dev"

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// errSaid is a failure that the user was told of already.
var errSaid = errors.New("already said")

type cli struct {
	systemCommands
	Listen  listenCmd  `cmd:"" help:"Follow a broker from any machine and print events as they come, with --desktop also as notifications."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// app is what every command gets.
type app struct {
	ctx            context.Context
	stdout, stderr io.Writer
	environ        []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go hurry(ctx)
	os.Exit(run(&app{ctx, os.Stdout, os.Stderr, os.Environ()}, os.Args[1:]))
}

// stopWithin is how long everything has to end after a signal.
const stopWithin = 2800 * time.Millisecond

// hurry ends the program when it does not end by itself after a signal, as
// when a disk hangs. The event log survives that.
func hurry(ctx context.Context) {
	<-ctx.Done()
	time.Sleep(stopWithin)
	_, _ = fmt.Fprintf(os.Stderr, "porchlight: something still hangs %s after the signal to stop; giving up on it\n", stopWithin)
	os.Exit(exitFailed)
}

// run carries out one command line and returns the exit status.
func run(a *app, args []string) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("porchlight"),
		kong.Description("Porchlight tells a house who is home.\n\nSettings are environment variables, PORCHLIGHT_…; see the README."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(a.stdout, a.stderr),
		kong.Exit(func(code int) { exited = code }),
	)
	if err != nil {
		return fail(a, err)
	}
	if len(args) > 0 && args[0] == "help" { // porchlight help scan
		args = append(slices.Clone(args[1:]), "--help")
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		_, _ = fmt.Fprintf(a.stderr, "porchlight: %s; see %s --help\n", err, commandOf(err))
		return exitUsage
	}
	if err := parsed.Run(a); err != nil {
		if a.ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		return fail(a, err)
	}
	return exitDone
}

// commandOf is the command whose line was wrong, as far as it was clear.
func commandOf(err error) string {
	var wrong *kong.ParseError
	if !errors.As(err, &wrong) || wrong.Context == nil || wrong.Context.Selected() == nil {
		return "porchlight"
	}
	command := wrong.Context.Selected()
	if parent := command.Parent; parent != nil && parent.DefaultCmd == command { // nobody may have named it
		command = parent
	}
	return command.FullPath()
}

// fail tells of err, a line each, and returns the exit status.
func fail(a *app, err error) int {
	if errors.Is(err, errSaid) {
		return exitFailed
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		_, _ = fmt.Fprintln(a.stderr, "porchlight:", line)
	}
	return exitFailed
}

// config reads the settings; warnings go to stderr.
func (a *app) config() (config.Config, error) {
	if err := a.fromSupervisor(); err != nil {
		return config.Config{}, err
	}
	cfg, warnings, err := config.Load(a.environ)
	for _, w := range warnings {
		_, _ = fmt.Fprintln(a.stderr, "porchlight:", w)
	}
	return cfg, err
}

// isSet reports whether an environment variable is there and not empty.
func (a *app) isSet(name string) bool {
	return slices.ContainsFunc(a.environ, func(s string) bool {
		return strings.HasPrefix(s, name+"=") && len(s) > len(name)+1
	})
}

type versionCmd struct{}

func (versionCmd) Run(a *app) error {
	_, err := fmt.Fprintln(a.stdout, "porchlight", version)
	return err
}
