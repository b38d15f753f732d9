package mistakes

import "encoding/json"

// most is a number with more digits than any integer has.
const most = json.Number("99999999999999999999")

// options are mistakes in one option of the migration.
var options = []Mistake{
	noneOf("transport", "tsl", "tls"),
	noneOf("transport", "tls\nplain", "tls"),
	noneOf("control", "p2p", "peer_to_peer"),
	noneOf("acknowledge", "never", "window"),
	noneOf("compression", "$(gzip)", "zstd"),
	noneOf("storage", "borrow", "shared"),
	noneOf("source_images", "shred", "delete"),
	noneOf("existing_images", "keep", "refuse"),
	outOfRange("migration/parallel_connections", 0, 1, 255),
	outOfRange("migration/parallel_connections", -2, 1, 255),
	outOfRange("migration/parallel_connections", 256, 1, 255),
	outOfRange("migration/max_downtime_ms", 0, 1, 2000000),
	outOfRange("migration/max_downtime_ms", -300, 1, 2000000),
	outOfRange("migration/max_downtime_ms", 2000001, 1, 2000000),
	outOfRange("migration/blackout_timeout_ms", 999, 1000, 4000000),
	outOfRange("migration/convergence/timeout_seconds_per_gib", -1, 1, 86400),
	outOfRange("migration/convergence/stall_seconds", 0, 1, 86400),
	{
		What: "a second and a half", Given: map[string]any{"migration/convergence/stall_seconds": 1.5},
		Words: Words{"stall_seconds", "1.5", "whole number"},
	},
	outOfRange("migration/convergence/downtime_steps", 11, 0, 10),
	outOfRange("migration/reconnect_seconds", 0, 1, 600),
	outOfRange("migration/reconnect_seconds", 601, 1, 600),
	outOfRange("migration/chunk_kib", 1, 4, 1024),
	outOfRange("migration/chunk_kib", 1<<40, 4, 1024),
	{
		What: "a bandwidth below nothing", Given: map[string]any{"migration/bandwidth_mib_per_second": -1},
		Words:     Words{"bandwidth_mib_per_second", "-1", "at most 8796093022207"},
		Terraform: &Words{"bandwidth_mib_per_second", "-1", "1 to 8796093022207"},
	},
	{
		What: "a bandwidth beyond libvirt's", Given: map[string]any{"migration/bandwidth_mib_per_second": int64(1<<63 - 1)},
		Words:     Words{"bandwidth_mib_per_second", "9223372036854775807", "at most 8796093022207"},
		Terraform: &Words{"bandwidth_mib_per_second", "9223372036854775807", "1 to 8796093022207"},
	},
	{
		What: "more digits than a number has", Given: map[string]any{"migration/parallel_connections": most},
		Words: Words{"parallel_connections", string(most), "1 to 255"},
	},
	{
		What: "a fraction", Given: map[string]any{"migration/parallel_connections": 2.5},
		Words: Words{"parallel_connections", "2.5", "whole number"},
	},
	{
		What: "not a number", Given: map[string]any{"migration/max_downtime_ms": "NaN"},
		Words:     Words{"max_downtime_ms", `"NaN"`, "whole number"},
		Terraform: &Words{"max_downtime_ms", "", "a number is required"},
	},
	{
		What: "infinity", Given: map[string]any{"migration/chunk_kib": "+Inf"},
		Words: Words{"chunk_kib", `+Inf`, "whole number"},
	},
	{
		What: "a truth for a number", Given: map[string]any{"migration/max_downtime_ms": true},
		Words:     Words{"max_downtime_ms", "true or false", "whole number"},
		Terraform: &Words{"max_downtime_ms", "", "number required"},
	},
	{
		What: "a word for a truth", Given: map[string]any{"migration/allow_plain": "sure"},
		Words:     Words{"allow_plain", `"sure"`, "true or false"},
		Terraform: &Words{"allow_plain", "", "a bool is required"},
	},
	{
		What: "a list for a truth", Given: map[string]any{"migration/allow_plain": []any{true}},
		Words:     Words{"allow_plain", "a list", "true or false"},
		Terraform: &Words{"allow_plain", "", "bool required"},
	},
	{
		What: "a word for all of them", Given: map[string]any{"migration": "fast"},
		Words:     Words{"migration", "text", "dictionary"},
		Terraform: &Words{"migration", "", "a JSON object"},
	},
	{
		What: "a file of progress with a line break", Given: map[string]any{"migration/progress_file": "/tmp/a\nb"},
		Words: Words{"progress_file", `"/tmp/a\nb"`, "control character"},
	},
}

// together are options that contradict one another.
var together = []Mistake{
	{
		What: "a switchover called off before it is late", Given: map[string]any{"migration/blackout_timeout_ms": 2000, "migration/max_downtime_ms": 3000},
		Words: Words{"blackout_timeout_ms", "2000", "more than the downtime"},
	},
	{
		What: "pages fetched over several connections", Given: map[string]any{"migration/transport": "relay", "migration/parallel_connections": 4, "migration/convergence/on_timeout": "post_copy"},
		Words: Words{"on_timeout", `"post_copy"`, "one connection"},
	},
	{
		What: "in the clear without permission", Given: map[string]any{"migration/transport": "plain"},
		Words: Words{"transport", `"plain"`, "allow_plain"},
	},
	{
		What: "one connection for tls", Given: map[string]any{"migration/transport": "tls", "migration/parallel_connections": 1},
		Words: Words{"parallel_connections", "1", "at least 2"},
	},
	{
		What: "more connections than a relay has", Given: map[string]any{"migration/transport": "relay", "migration/parallel_connections": 200},
		Words: Words{"parallel_connections", "200", "over the relay"},
	},
	{
		What: "a tunnel that the controller drives", Given: map[string]any{"migration/transport": "tunnel", "migration/control": "controller"},
		Words: Words{"control", `"controller"`, "always peer_to_peer"},
	},
	{
		What: "a tunnel for disks", Given: map[string]any{"migration/transport": "tunnel", "migration/storage": "copy"},
		Words: Words{"storage", `"copy"`, "choose transport"},
	},
	{
		What: "a tunnel of several connections", Given: map[string]any{"migration/transport": "tunnel", "migration/parallel_connections": 4},
		Words: Words{"parallel_connections", "4", "one connection"},
	},
	{
		What: "replies without a relay", Given: map[string]any{"migration/transport": "tls", "migration/acknowledge": "each"},
		Words: Words{"acknowledge", `"each"`, "only the relay"},
	},
	{
		What: "compression without a relay", Given: map[string]any{"migration/transport": "tls", "migration/compression": "zstd"},
		Words: Words{"compression", `"zstd"`, "only the relay"},
	},
	{
		What: "patience without a relay", Given: map[string]any{"migration/transport": "tunnel", "migration/reconnect_seconds": 45},
		Words: Words{"reconnect_seconds", "45", "only the relay"},
	},
	{
		What: "chunks without a relay", Given: map[string]any{"migration/transport": "tls", "migration/chunk_kib": 512},
		Words: Words{"chunk_kib", "512", "only the relay"},
	},
}

// disks are mistakes in what becomes of disks.
var disks = []Mistake{
	{
		What: "disks to copy, and no copy", Given: map[string]any{"migration/migrate_disks": []any{"vdb"}},
		Words: Words{"migrate_disks", `"vdb"`, `"copy_incremental"`},
	},
	{
		What: "a disk twice", Given: map[string]any{"migration/storage": "copy", "migration/migrate_disks": []any{"vda", "vda"}},
		Words: Words{"migrate_disks", `"vda"`, "once"},
	},
	{
		What: "a disk without a name", Given: map[string]any{"migration/assume_shared_disks": []any{""}},
		Words: Words{"assume_shared_disks", `""`, "such as vda"},
	},
	{
		What: "a command for a disk", Given: map[string]any{"migration/storage": "copy", "migration/migrate_disks": []any{"vda; reboot"}},
		Words: Words{"migrate_disks", `"vda; reboot"`, "such as vda"},
	},
	{
		What: "a path for a disk", Given: map[string]any{"migration/assume_shared_disks": []any{"/dev/vg/web"}},
		Words: Words{"assume_shared_disks", `"/dev/vg/web"`, "such as vda"},
	},
	{
		What:  "a disk that is to be copied and shared",
		Given: map[string]any{"migration/storage": "copy", "migration/migrate_disks": []any{"vda"}, "migration/assume_shared_disks": []any{"vda"}},
		Words: Words{"assume_shared_disks", `"vda"`, "migrate_disks"},
	},
	{
		What: "the only image deleted", Given: map[string]any{"migration/source_images": "delete"},
		Words: Words{"source_images", `"delete"`, `storage "copy"`},
	},
	{
		What: "images overwritten by nothing", Given: map[string]any{"migration/existing_images": "overwrite"},
		Words: Words{"existing_images", `"overwrite"`, `storage "copy"`},
	},
}
