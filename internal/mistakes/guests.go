package mistakes

import "strings"

// guests are mistakes in which guest is to go where, and in what concerns the task as a whole.
var guests = []Mistake{
	{
		What: "an option with a slip in its name", Given: map[string]any{"nmae": "web", "name": nil},
		Words: Words{"unknown option", `"nmae"`, `did you mean "name"?`}, Terraform: &Words{"Extraneous", `"nmae"`, `Did you mean "name"?`},
	},
	{
		What: "neither name nor UUID", Given: map[string]any{"name": nil},
		Words: Words{"name and uuid are missing", "", "guest's name or its uuid"}, Terraform: &Words{"Guest Is Not Named", "", "guest's name or its uuid"},
	},
	{
		What: "an empty name", Given: map[string]any{"name": ""},
		Words: Words{"name", "", "guest's name"}, Terraform: &Words{"name", "got: 0", "at least 1"},
	},
	{What: "a name of two lines", Given: map[string]any{"name": "web\nrm -rf /"}, Words: Words{"name", `"web\nrm -rf /"`, "control character"}},
	{What: "a name that leads elsewhere", Given: map[string]any{"name": "../../etc/passwd"}, Words: Words{"name", `"../../etc/passwd"`, "slash"}},
	{What: "a name longer than a file's", Given: map[string]any{"name": strings.Repeat("long", 64)}, Words: Words{"name", "256 bytes", "at most 255"}},
	{
		What: "a list for a name", Given: map[string]any{"name": []any{"web"}},
		Words: Words{"name", "a list", "text"}, Terraform: &Words{`"name"`, "", "string required"},
	},
	{
		What: "no UUID", Given: map[string]any{"uuid": "42"},
		Words: Words{"uuid", `"42"`, "such as 6f1c3c52-"}, Terraform: &Words{"uuid", "42", "such as 6f1c3c52-"},
	},
	{
		What: "a UUID and a command", Given: map[string]any{"uuid": "6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0;id"},
		Words: Words{"uuid", "6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0;id", "such as 6f1c3c52-"},
	},
	{What: "a host that nobody named", Given: map[string]any{"host": "gamma"}, Words: Words{"host", `"gamma"`, "alpha, beta"}},
	{What: "a slip in the host", Given: map[string]any{"host": "betta"}, Words: Words{"host", `"betta"`, `did you mean "beta"?`}},
	{
		What: "no host", Given: map[string]any{"host": ""},
		Words: Words{"host is missing", "", "one of hosts"}, Terraform: &Words{"host", "got: 0", "at least 1"},
	},
	{
		What: "no time", Given: map[string]any{"timeout_seconds": 0},
		Words: Words{"timeout_seconds", "0", "1 to 2592000"}, Terraform: &Words{"create", "0s", "at most 720h"},
	},
	{
		What: "less than no time", Given: map[string]any{"timeout_seconds": -60},
		Words: Words{"timeout_seconds", "-60", "1 to 2592000"}, Terraform: &Words{"create", "-60s", "at most 720h"},
	},
	{
		What: "years", Given: map[string]any{"timeout_seconds": 1 << 31},
		Words: Words{"timeout_seconds", "2147483648", "1 to 2592000"}, Terraform: &Words{"create", "2147483648s", "at most 720h"},
	},
	{
		What: "some time", Given: map[string]any{"timeout_seconds": "soon"},
		Words: Words{"timeout_seconds", `"soon"`, "whole number"}, Terraform: &Words{"create", "soon", "such as"},
	},
	outOfRange("max_migrations_per_host", 0, 1, 8),
	outOfRange("max_migrations_per_host", -1, 1, 8),
	outOfRange("max_migrations_per_host", 9, 1, 8),
	{
		What: "migrations in words", Given: map[string]any{"max_migrations_per_host": "two"},
		Words: Words{"max_migrations_per_host", `"two"`, "whole number"}, Terraform: &Words{"max_migrations_per_host", "", "a number is required"},
	},
}
