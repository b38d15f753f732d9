package main

import (
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// The computed objects of a domain. Their names and types are those of the engine's JSON; a test compares
// them with migration.Planned and migration.Result, so that a field added there cannot be forgotten here.

var (
	plannedType = types.ObjectType{AttrTypes: attributeTypes(plannedAttributes())}
	resultType  = types.ObjectType{AttrTypes: attributeTypes(resultAttributes())}
)

func plannedAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"from":         text("Host the guest was on when the move was planned."),
		"to":           text("Host the guest was to run on. Equal to `from` when only an interrupted earlier migration had to be brought to an end."),
		"transport":    text("Transport chosen: how guest memory travels; `none` for a guest that is shut off, of which only the definition moves. Null when nothing moves."),
		"reason":       text("Why that transport, and what would be done first about an interrupted earlier migration."),
		"control":      text("Who drives the migration: `controller` or `peer_to_peer`. Null when nothing moves."),
		"copied_disks": names("Target names of the disks to be copied."),
	}
}

func resultAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"transport":        text("How guest memory travelled; `none` when the guest was shut off, and only its definition moved."),
		"transport_reason": text("Why that transport was chosen."),
		"encrypted":        schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether guest memory, and copied disks, were encrypted between the hosts. Null when none travelled."},
		"encryption": schema.SingleNestedAttribute{
			Computed:            true,
			MarkdownDescription: "What is known of that encryption; null for `plain`.",
			Attributes: map[string]schema.Attribute{
				"protocol": text("Protocol of the encryption."),
				"cipher":   text("Cipher, where somebody tells; QEMU does not say what its TLS negotiated."),
			},
		},
		"control":                       text("Who drove the migration: `controller` or `peer_to_peer`."),
		"source_host":                   text("Host the guest left."),
		"destination_host":              text("Host the guest went to."),
		"started_at":                    text("When the operation began, by the clock of the machine that ran Terraform (RFC 3339)."),
		"finished_at":                   text("When the operation ended, by the same clock (RFC 3339)."),
		"total_ms":                      whole("Milliseconds from the beginning of the migration until the guest ran on the destination."),
		"copy_ms":                       whole("Milliseconds that the copy of disks and guest memory took."),
		"wall_ms":                       whole("Milliseconds of the whole operation, preflight and verification included."),
		"setup_ms":                      whole("Milliseconds that the hosts needed to prepare before memory flowed."),
		"downtime_ms":                   whole("Milliseconds for which the guest's CPUs stood still during the switchover."),
		"clock_skew_ms":                 whole("Clock of the destination minus clock of the source, in milliseconds. No duration depends on it."),
		"memory_total_bytes":            whole("Guest memory in bytes, as the hypervisor counts it."),
		"transferred_bytes":             whole("Bytes of guest memory that travelled."),
		"throughput_bytes_per_second":   whole("`transferred_bytes` in a second of `copy_ms`."),
		"iterations":                    whole("Rounds over the guest's memory."),
		"dirty_bytes_per_second":        whole("Rate at which the guest rewrote its memory during the migration, in bytes."),
		"parallel_connections":          whole("Connections over which memory travelled side by side."),
		"reconnects":                    whole("How often a broken connection between the relays was replaced. This and the next four are null for other transports."),
		"wire_bytes":                    whole("Bytes that went over the network between the relays, both ways."),
		"compression_ratio":             decimal("What QEMU sent over what was left of it after compression."),
		"source_relay_cpu_seconds":      decimal("User and system time of the relay on the source, in seconds."),
		"destination_relay_cpu_seconds": decimal("User and system time of the relay on the destination, in seconds."),
		"storage":                       text("What was to become of the guest's disks on its host."),
		"copied_disks":                  names("Target names of the disks that were copied."),
		"disk_total_bytes":              whole("What there was to copy of the disks, in bytes: their capacity, and what the guest wrote again meanwhile. Null when none was copied."),
		"disk_processed_bytes":          whole("How far that copy had come when the running job told last, in bytes. Parts that hold nothing count, and are not sent."),
		"disk_copy_ms":                  whole("Milliseconds of `copy_ms` before guest memory began to flow. Null when no disk was copied."),
		"source_cpu":                    cpu("Load of the whole source host during the migration."),
		"destination_cpu":               cpu("Load of the whole destination host during the migration."),
		"missing_figures": schema.MapAttribute{
			Computed: true, ElementType: types.StringType,
			MarkdownDescription: "For each figure above that is null although it could have a value: why it could not be had.",
		},
	}
}

func cpu(description string) schema.Attribute {
	return schema.SingleNestedAttribute{
		Computed:            true,
		MarkdownDescription: description + " Counted by the hypervisor itself, over all CPUs.",
		Attributes: map[string]schema.Attribute{
			"idle_min_percent":  decimal("Smallest share of idle time between two readings, in percent; null with fewer than three samples."),
			"idle_mean_percent": decimal("Share of idle time over the whole migration, in percent."),
			"idle_max_percent":  decimal("Greatest share of idle time between two readings, in percent; null with fewer than three samples."),
			"user_percent":      decimal("Share of user time, in percent."),
			"system_percent":    decimal("Share of system time, in percent."),
			"busy_seconds":      decimal("User and system time of all CPUs together, in seconds."),
			"samples":           whole("Number of intervals between readings."),
		},
	}
}

func names(description string) schema.Attribute {
	return schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: description}
}

func text(description string) schema.Attribute {
	return schema.StringAttribute{Computed: true, MarkdownDescription: description}
}

func whole(description string) schema.Attribute {
	return schema.Int64Attribute{Computed: true, MarkdownDescription: description}
}

func decimal(description string) schema.Attribute {
	return schema.Float64Attribute{Computed: true, MarkdownDescription: description}
}
