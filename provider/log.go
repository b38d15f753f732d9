package main

import (
	"context"
	"fmt"
	"io"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/terraform-plugin-log/tflog"
)

// engineSubsystem names the engine's lines in Terraform's log.
const engineSubsystem = "engine"

// engineLog carries the engine's log into Terraform's, where TF_LOG filters it. It outlives the call that
// ctx belongs to, so it takes over none of that call's fields.
func engineLog(ctx context.Context) hclog.Logger {
	ctx = tflog.NewSubsystem(context.WithoutCancel(ctx), engineSubsystem)
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Trace, Output: io.Discard})
	logger.RegisterSink(tflogSink{ctx})
	return logger
}

type tflogSink struct{ ctx context.Context }

// Accept implements hclog.SinkAdapter.
func (s tflogSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	fields := logFields(args)
	if name != "" {
		fields["part"] = name
	}
	write := map[hclog.Level]func(context.Context, string, string, ...map[string]any){
		hclog.Trace: tflog.SubsystemTrace, hclog.Debug: tflog.SubsystemDebug, hclog.Info: tflog.SubsystemInfo,
		hclog.Warn: tflog.SubsystemWarn, hclog.Error: tflog.SubsystemError,
	}[level]
	if write != nil {
		write(s.ctx, engineSubsystem, msg, fields)
	}
}

// logFields turns hclog's alternating keys and values into fields. Values with a text of their own are
// written as that text.
func logFields(args []any) map[string]any {
	fields := map[string]any{}
	if len(args)%2 == 1 {
		args = append(args[:len(args)-1:len(args)-1], hclog.MissingKey, args[len(args)-1])
	}
	for i := 0; i+1 < len(args); i += 2 {
		key, ok := args[i].(string)
		if !ok {
			key = fmt.Sprint(args[i])
		}
		switch value := args[i+1].(type) {
		case error:
			fields[key] = value.Error()
		case fmt.Stringer:
			fields[key] = value.String()
		case hclog.Format:
			if len(value) > 0 {
				fields[key] = fmt.Sprintf(fmt.Sprint(value[0]), value[1:]...)
			}
		default:
			fields[key] = value
		}
	}
	return fields
}
