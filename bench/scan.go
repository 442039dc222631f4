package main

import "context"

func scan(context.Context, *bench) ([]row, error) { return nil, nil }
