package main

import "context"

func loss(context.Context, *bench) ([]row, error) { return nil, nil }
