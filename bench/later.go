package main

import "context"

func parts(ctx context.Context, b *bench) ([]result, error)  { return nil, nil }
func cores(ctx context.Context, b *bench) ([]result, error)  { return nil, nil }
func memory(ctx context.Context, b *bench) ([]result, error) { return nil, nil }
func whole(ctx context.Context, b *bench) ([]result, error)  { return nil, nil }
func growth(ctx context.Context, b *bench) ([]result, error) { return nil, nil }
