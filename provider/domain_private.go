package main

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/diag"
)

// interruptedKey marks, in the resource's private state, that the latest refresh found what an interrupted
// migration left. It makes a plan ask the engine what is to be done although host is as it should be.
const interruptedKey = "interrupted"

type privateReader interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
}

type privateWriter interface {
	SetKey(ctx context.Context, key string, value []byte) diag.Diagnostics
}

func wasInterrupted(ctx context.Context, private privateReader) (bool, diag.Diagnostics) {
	value, diags := private.GetKey(ctx, interruptedKey)
	return string(value) == "true", diags
}

func noteInterrupted(ctx context.Context, before privateReader, after privateWriter, now bool) diag.Diagnostics {
	was, diags := wasInterrupted(ctx, before)
	if was == now {
		return diags
	}
	value := "false"
	if now {
		value = "true"
	}
	return append(diags, after.SetKey(ctx, interruptedKey, []byte(value))...)
}
