package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// The block migration of a domain: schema and model of migration.Options, under the engine's names.

// migrationBlock is a block and no attribute, because Terraform passes over a name in the object of an attribute that
// the schema does not know: a misspelt bandwidth would then be no limit.
func migrationBlock() schema.SingleNestedBlock {
	return schema.SingleNestedBlock{
		MarkdownDescription: "How the guest is to move when it has to. A change of this alone contacts no host.",
		Attributes:          migrationAttributes(),
		Blocks:              map[string]schema.Block{"convergence": convergenceBlock()},
	}
}

// migrationType is the type of what the block holds.
func migrationType() types.ObjectType {
	inner := attributeTypes(migrationAttributes())
	inner["convergence"] = convergenceBlock().Type()
	return types.ObjectType{AttrTypes: inner}
}

func migrationAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"transport": schema.StringAttribute{
			Optional: true, Validators: []validator.String{stringvalidator.OneOf(texts(migration.Transports)...)},
			MarkdownDescription: "How guest memory travels: `auto` (default) is the fastest encrypted transport that both hosts can do; `relay` goes through two relay processes, brought over SSH, with TLS 1.3 between them; `tls` is QEMU's own TLS; " +
				"`tunnel` goes through the connection of the two libvirt daemons, is always `peer_to_peer`, and is as encrypted as their `peer_uri`; `plain` is unencrypted, and refused unless `allow_plain` is true.",
		},
		"allow_plain": schema.BoolAttribute{
			Optional:            true,
			MarkdownDescription: "Permits `transport = \"plain\"`, and `tunnel` through an unencrypted connection, which sends everything in the guest's memory and copied disks, keys and passwords included, over the network in the clear. Default: `false`.",
		},
		"control": schema.StringAttribute{
			Optional: true, Validators: []validator.String{stringvalidator.OneOf(texts(migration.Controls)...)},
			MarkdownDescription: "Who drives the migration: `controller` is the machine that runs Terraform, and the hosts need no login to each other; with `peer_to_peer` the source's libvirt daemon " +
				"logs in to the destination's and goes on when Terraform dies; `auto` (default) is `controller`, unless its round trip is too long for `max_downtime_ms` and `peer_to_peer` is possible.",
		},
		"parallel_connections": schema.NumberAttribute{
			Optional: true, Validators: wholeFrom(1, migration.MaxParallelConnections),
			MarkdownDescription: fmt.Sprintf("Connections over which guest memory travels side by side, 1 to %d (over the relay %d); `tls` needs at least 2. Default: %d for `tls`, 1 otherwise.", migration.MaxParallelConnections, migration.MaxRelayConnections, migration.DefaultParallelConnections),
		},
		"bandwidth_mib_per_second": schema.NumberAttribute{
			Optional: true, Validators: wholeFrom(1, migration.MaxBandwidthMiBPerSecond),
			MarkdownDescription: "Greatest bandwidth that the migration may take, in MiB/s. Default: no limit.",
		},
		"max_downtime_ms": schema.NumberAttribute{
			Optional: true, Validators: wholeFrom(1, migration.MaxMaxDowntimeMS),
			MarkdownDescription: fmt.Sprintf("Milliseconds for which the guest may stand still at the switchover; the hypervisor switches over once it expects to need no more. Default: %d.", migration.DefaultMaxDowntimeMS),
		},
		"blackout_timeout_ms": schema.NumberAttribute{
			Optional: true, Validators: wholeFrom(migration.MinBlackoutTimeoutMS, migration.MaxBlackoutTimeoutMS),
			MarkdownDescription: fmt.Sprintf("Milliseconds after which a switchover in which the guest still stands still is called off, so that it runs on where it was. Default: %d and twice the greatest downtime that is allowed.", migration.BlackoutBase.Milliseconds()),
		},
		"acknowledge": schema.StringAttribute{
			Optional: true, Validators: []validator.String{stringvalidator.OneOf(texts(migration.Acknowledges)...)},
			MarkdownDescription: "When the relay may send the next chunk: with `window` (default) chunks follow one another and are acknowledged on their own time; with `each` every chunk waits for its reply, which is slower the longer the way is.",
		},
		"compression": schema.StringAttribute{
			Optional: true, Validators: []validator.String{stringvalidator.OneOf(texts(migration.Compressions)...)},
			MarkdownDescription: "What the relay does to chunks before it encrypts them: `none` (default) or `zstd`, which is worth its CPU time where the network is slow.",
		},
		"reconnect_seconds": schema.NumberAttribute{
			Optional: true, Validators: wholeFrom(1, migration.MaxReconnectSeconds),
			MarkdownDescription: fmt.Sprintf("Seconds for which a broken connection between the relays may be missing before the migration fails, 1 to %d. Default: %d.", migration.MaxReconnectSeconds, migration.DefaultReconnectSeconds),
		},
		"chunk_kib": schema.NumberAttribute{
			Optional: true, Validators: wholeFrom(migration.MinChunkKiB, migration.MaxChunkKiB),
			MarkdownDescription: fmt.Sprintf("Size of the relay's chunks in KiB, %d to %d. Default: %d.", migration.MinChunkKiB, migration.MaxChunkKiB, migration.DefaultChunkKiB),
		},
		"storage": schema.StringAttribute{
			Optional: true, Validators: []validator.String{stringvalidator.OneOf(texts(migration.Storages)...)},
			MarkdownDescription: "What becomes of the guest's disks that are files or devices of its host: with `shared` (default) both hosts reach them at the same path, which is proved before the guest is touched; " +
				"`copy` copies them whole, by the same encryption as the memory; `copy_incremental` copies only their topmost images, and those below are on the destination already. Disks on network storage are never copied.",
		},
		"migrate_disks": schema.ListAttribute{
			Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Target names (such as `vda`) of the disks to copy. Default: every one that is a file or device of the host, can be written and is not shareable. An empty list copies none.",
		},
		"assume_shared_disks": schema.ListAttribute{
			Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Target names of disks of which you know that both hosts reach them as one and the same, although nothing can prove it; a volume group on a shared disk, for example. A wrong name here costs the guest its data.",
		},
		"source_images": schema.StringAttribute{
			Optional: true, Validators: []validator.String{stringvalidator.OneOf(texts(migration.SourceImagesValues)...)},
			MarkdownDescription: "What becomes of the source's images once the guest runs on their copies: `keep` (default) or `delete`.",
		},
		"existing_images": schema.StringAttribute{
			Optional: true, Validators: []validator.String{stringvalidator.OneOf(texts(migration.ExistingImagesValues)...)},
			MarkdownDescription: "What becomes of an image that lies on the destination where a copy is to go: `refuse` (default) or `overwrite`. One that another domain uses is always refused.",
		},
		"progress_file": schema.StringAttribute{
			Optional: true, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
			MarkdownDescription: "File on the machine that runs Terraform, to which JSON lines are appended while the guest moves: `step`, `percent`, `total_bytes`, `remaining_bytes`, `bytes_per_second`, `expected_end`.",
		},
	}
}

// optionsModel is its block migration.
type optionsModel struct {
	Transport             types.String      `tfsdk:"transport"`
	AllowPlain            types.Bool        `tfsdk:"allow_plain"`
	Control               types.String      `tfsdk:"control"`
	ParallelConnections   types.Number      `tfsdk:"parallel_connections"`
	BandwidthMiBPerSecond types.Number      `tfsdk:"bandwidth_mib_per_second"`
	MaxDowntimeMS         types.Number      `tfsdk:"max_downtime_ms"`
	BlackoutTimeoutMS     types.Number      `tfsdk:"blackout_timeout_ms"`
	Convergence           *convergenceModel `tfsdk:"convergence"`
	Acknowledge           types.String      `tfsdk:"acknowledge"`
	Compression           types.String      `tfsdk:"compression"`
	ReconnectSeconds      types.Number      `tfsdk:"reconnect_seconds"`
	ChunkKiB              types.Number      `tfsdk:"chunk_kib"`
	Storage               types.String      `tfsdk:"storage"`
	MigrateDisks          types.List        `tfsdk:"migrate_disks"`
	AssumeSharedDisks     types.List        `tfsdk:"assume_shared_disks"`
	SourceImages          types.String      `tfsdk:"source_images"`
	ExistingImages        types.String      `tfsdk:"existing_images"`
	ProgressFile          types.String      `tfsdk:"progress_file"`
}

func (m optionsModel) options() migration.Options {
	return migration.Options{
		Transport:             migration.Transport(m.Transport.ValueString()),
		AllowPlain:            m.AllowPlain.ValueBool(),
		Control:               migration.Control(m.Control.ValueString()),
		ParallelConnections:   int(integer(m.ParallelConnections)),
		BandwidthMiBPerSecond: uint64(max(0, integer(m.BandwidthMiBPerSecond))),
		MaxDowntimeMS:         integer(m.MaxDowntimeMS),
		BlackoutTimeoutMS:     integer(m.BlackoutTimeoutMS),
		Convergence:           m.Convergence.convergence(),
		Acknowledge:           migration.Acknowledge(m.Acknowledge.ValueString()),
		Compression:           migration.Compression(m.Compression.ValueString()),
		ReconnectSeconds:      integer(m.ReconnectSeconds),
		ChunkKiB:              int(integer(m.ChunkKiB)),
		Storage:               migration.Storage(m.Storage.ValueString()),
		MigrateDisks:          listed(m.MigrateDisks),
		AssumeSharedDisks:     listed(m.AssumeSharedDisks),
		SourceImages:          migration.SourceImages(m.SourceImages.ValueString()),
		ExistingImages:        migration.ExistingImages(m.ExistingImages.ValueString()),
		ProgressFile:          m.ProgressFile.ValueString(),
	}
}

// listed gives a list of texts; nil stands for null, which means another thing than an empty list.
func listed(list types.List) []string {
	if list.IsNull() || list.IsUnknown() {
		return nil
	}
	out := []string{}
	for _, element := range list.Elements() {
		if text, ok := element.(types.String); ok {
			out = append(out, text.ValueString())
		}
	}
	return out
}

// options reads the block migration; null means all defaults.
func (m domainModel) options(ctx context.Context) (migration.Options, diag.Diagnostics) {
	var o optionsModel
	diags := m.Migration.As(ctx, &o, basetypes.ObjectAsOptions{UnhandledNullAsEmpty: true})
	return o.options(), diags
}
