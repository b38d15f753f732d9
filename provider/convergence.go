package main

import (
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// The block convergence of the block migration: schema and model of migration.Convergence.

func convergenceBlock() schema.SingleNestedBlock {
	return schema.SingleNestedBlock{
		MarkdownDescription: "When the copy of a guest counts as not coming to an end, because it writes memory faster than the network carries it, and what is done then.",
		Attributes: map[string]schema.Attribute{
			"timeout_seconds_per_gib": schema.NumberAttribute{
				Optional: true, Validators: wholeFrom(1, migration.MaxTimeoutSecondsPerGiB),
				MarkdownDescription: fmt.Sprintf("Seconds that the copy may take for each GiB, the last one begun, of guest memory and copied disks; never less than three passes need at `bandwidth_mib_per_second`. Default: %d.", migration.DefaultTimeoutSecondsPerGiB),
			},
			"stall_seconds": schema.NumberAttribute{
				Optional: true, Validators: wholeFrom(1, migration.MaxStallSeconds),
				MarkdownDescription: fmt.Sprintf("Seconds for which the copy may come no nearer to its end. Default: %d.", migration.DefaultStallSeconds),
			},
			"downtime_steps": schema.NumberAttribute{
				Optional: true, Validators: wholeFrom(0, migration.MaxDowntimeSteps),
				MarkdownDescription: fmt.Sprintf("How often, before either time is up, `max_downtime_ms` may be doubled, 0 to %d: with 3, a limit of 300 ms becomes 600, 1200 and 2400 ms. Default: 0, so that the limit is kept.", migration.MaxDowntimeSteps),
			},
			"auto_converge": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Lets QEMU slow the guest's processors down, by 20 % and then more, until it writes less than is sent. Default: `false`.",
			},
			"on_timeout": schema.StringAttribute{
				Optional: true, Validators: []validator.String{stringvalidator.OneOf(texts(migration.OnTimeouts)...)},
				MarkdownDescription: "What is done once a time is up: `abort` (default) leaves the guest where it runs; `suspend` pauses it until all of it is on the destination; `post_copy` lets it run on the destination and fetch the rest of its memory, " +
					"which needs one connection (`relay` or `plain`) and the kernels' permission, and if a host or the network between them then fails, the guest stands still; `keep_trying` goes on until the resource's time-out.",
			},
		},
	}
}

// convergenceModel is the block convergence.
type convergenceModel struct {
	TimeoutSecondsPerGiB types.Number `tfsdk:"timeout_seconds_per_gib"`
	StallSeconds         types.Number `tfsdk:"stall_seconds"`
	DowntimeSteps        types.Number `tfsdk:"downtime_steps"`
	AutoConverge         types.Bool   `tfsdk:"auto_converge"`
	OnTimeout            types.String `tfsdk:"on_timeout"`
}

func (m *convergenceModel) convergence() migration.Convergence {
	if m == nil {
		return migration.Convergence{}
	}
	return migration.Convergence{
		TimeoutSecondsPerGiB: integer(m.TimeoutSecondsPerGiB),
		StallSeconds:         integer(m.StallSeconds),
		DowntimeSteps:        int(integer(m.DowntimeSteps)),
		AutoConverge:         m.AutoConverge.ValueBool(),
		OnTimeout:            migration.OnTimeout(m.OnTimeout.ValueString()),
	}
}
