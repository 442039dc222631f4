package main

import "context"

func truth(context.Context, *bench) ([]row, error) { return nil, nil }
