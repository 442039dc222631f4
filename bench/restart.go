package main

import "context"

func restart(context.Context, *bench) ([]row, error) { return nil, nil }
