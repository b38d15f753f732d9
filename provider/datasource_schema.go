package main

import (
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// What the data sources ask by.
var (
	hostAttribute = path.Root("host")
	nameAttribute = path.Root("name")
	uuidAttribute = path.Root("uuid")
)

// The schemas of the data sources. Their names and types are those of the engine's JSON; a test compares
// them with migration.HostInfo and migration.DomainInfo.

func hostSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "What one of the provider's hosts says of itself. Nothing on it is changed.",
		Attributes: map[string]schema.Attribute{
			"host": schema.StringAttribute{
				Required: true, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				MarkdownDescription: "Name of the host in the provider's `hosts`.",
			},
			"uri":                said("Its libvirt URI, without parameters."),
			"hostname":           said("Host name, as its libvirt daemon says."),
			"uuid":               said("UUID of the host, as its libvirt daemon says."),
			"libvirt_version":    said("Version of libvirt."),
			"hypervisor_version": said("Version of QEMU."),
			"arch":               said("Architecture of the host."),
			"cpus":               counted("Number of CPUs."),
			"memory_bytes":       counted("Memory of the host, in bytes."),
			"free_memory_bytes":  counted("Free memory of the host, in bytes, without what caches hold."),
			"control_encrypted":  schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether the connection to its daemon cannot be read on the way."},
			"round_trip_ms":      schema.Float64Attribute{Computed: true, MarkdownDescription: "Milliseconds that one small call to its daemon took."},
			"migration_address":  said("Name or address at which the other hosts' QEMU reaches this one's."),
			"transports": schema.MapNestedAttribute{
				Computed:            true,
				MarkdownDescription: "For each transport: whether guests can come to this host by it, as far as this host alone decides that.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"possible": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether nothing rules it out."},
					"reason":   said("What rules it out, or what is to be known about it; may be empty."),
				}},
			},
			"guests": schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Names of all its guests, running or not."},
		},
	}
}

// The two attributes by which a data source is asked for a guest.
var (
	guestName = schema.StringAttribute{
		Optional: true, Computed: true, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
		MarkdownDescription: "Name of the guest, as libvirt knows it. Give `name` or `uuid`; with both, they must belong to one guest.",
	}
	guestUUID = schema.StringAttribute{
		Optional: true, Computed: true, Validators: []validator.String{stringvalidator.RegexMatches(canonicalUUID, "must be a UUID in lower case such as 6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0")},
		MarkdownDescription: "UUID of the guest, in lower case.",
	}
)

func domainSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "Where a guest is, and what it is made of as far as that bears on a move. Nothing is changed.",
		Attributes: map[string]schema.Attribute{
			"name":         guestName,
			"uuid":         guestUUID,
			"host":         said("Name, in the provider's `hosts`, of the host that has the guest."),
			"state":        said("State in libvirt's words, such as `running (booted)`."),
			"persistent":   schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether there is a definition that outlives the running guest."},
			"autostart":    schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether the guest starts with its host."},
			"memory_bytes": counted("Memory of the guest, in bytes."),
			"vcpus":        counted("Number of virtual CPUs."),
			"arch":         said("Architecture."),
			"machine":      said("Machine type."),
			"disks": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The guest's disks.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"target":    said("Name in the guest, such as `vda`."),
					"device":    said("`disk`, `cdrom`, `floppy` or `lun`."),
					"type":      said("How libvirt reaches it: `file`, `block`, `network` and so on."),
					"source":    said("Where the data is, in words."),
					"format":    said("Format of the image."),
					"cache":     said("Cache mode; empty for the hypervisor's default."),
					"local":     schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether it is a file or device of its host."},
					"read_only": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether the guest can only read it."},
				}},
			},
			"interfaces": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The guest's network interfaces.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"type":   said("`bridge`, `network` and so on."),
					"source": said("Bridge or network it is on."),
				}},
			},
			"blockers":    schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "What keeps the guest on its host wherever it is to go, in words."},
			"interrupted": said("What an interrupted migration left; empty when nothing."),
		},
	}
}

func said(description string) schema.Attribute {
	return schema.StringAttribute{Computed: true, MarkdownDescription: description}
}

func counted(description string) schema.Attribute {
	return schema.Int64Attribute{Computed: true, MarkdownDescription: description}
}
