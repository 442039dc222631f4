package main

type doctorCmd struct {
	JSON bool `help:"Print JSON Lines."`
}

func (doctorCmd) Run(*app) error { return errNotYet }

type demoCmd struct{}

func (demoCmd) Run(*app) error { return errNotYet }

type healthCmd struct{}

func (healthCmd) Run(*app) error { return errNotYet }
