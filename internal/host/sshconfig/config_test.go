package sshconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// in is a configuration of these files, of which "config" is the user's and "system" the machine's.
func in(t *testing.T, files tree) (Files, string) {
	t.Helper()
	dir := t.TempDir()
	files.write(t, dir)
	return Files{User: filepath.Join(dir, "config"), System: filepath.Join(dir, "system"),
		Home: dir, SystemDir: filepath.Join(dir, "etc"), LocalUser: "me"}, dir
}

func TestWhatIsNotEvaluatedSkipsItsBlockAndIsReported(t *testing.T) {
	for criteria, c := range map[string]struct {
		met, remarked bool
	}{
		`exec "touch DIR/run"`:                  {false, true},
		`!exec "touch DIR/run"`:                 {false, true},
		`exec="touch DIR/run"`:                  {false, true},
		`host alpha exec "touch DIR/run"`:       {false, true},
		`exec "touch DIR/run" host beta`:        {false, false},
		`host beta exec "touch DIR/run"`:        {false, false},
		`localnetwork 192.0.2.0/24`:             {false, true},
		`tagged work host alpha`:                {false, true},
		`weather sunny`:                         {false, true},
		`weather`:                               {false, true},
		`host alpha`:                            {true, false},
		`host alpha originalhost alpha !user x`: {true, false},
	} {
		t.Run(criteria, func(t *testing.T) {
			files, dir := in(t, tree{"config": "Match " + criteria + "\n  User inside\nHost *\n  Port 7\n"})
			v, err := files.Get(Query{Host: "alpha"})
			if err != nil || v.Port != 7 {
				t.Fatalf("%+v, %v", v, err)
			}
			if met := v.User == "inside"; met != c.met {
				t.Errorf("the block counts: %v", met)
			}
			if len(v.Remarks) > 1 || (len(v.Remarks) == 1) != c.remarked {
				t.Errorf("remarks %q", v.Remarks)
			}
			if c.remarked && !strings.Contains(v.Remarks[0], filepath.Join(dir, "config")+" line 1") {
				t.Errorf("remark %q names no place", v.Remarks[0])
			}
			if _, err := os.Stat(filepath.Join(dir, "run")); err == nil {
				t.Error("the program was run")
			}
		})
	}
}

func TestARemarkIsMadeOnceForBothPasses(t *testing.T) {
	files, _ := in(t, tree{"config": "Match exec true\n  User x\nMatch final\n  Port 7\n"})
	v, err := files.Get(Query{Host: "alpha"})
	if err != nil || v.Port != 7 || len(v.Remarks) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestNamesThatAreNotCompletedAreReported(t *testing.T) {
	files, _ := in(t, tree{"config": "CanonicalizeHostname yes\nCanonicalDomains example.org\n"})
	for name, remarks := range map[string]int{"alpha": 1, "alpha.in": 1, "alpha.in.example.org": 0} {
		if v, err := files.Get(Query{Host: name}); err != nil || len(v.Remarks) != remarks {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

func TestWrongConfigurationsAreRefusedWithTheirPlace(t *testing.T) {
	many := tree{"config": "Include part*\nInclude part*\n"}
	for i := range 33 {
		many["part"+strings.Repeat("x", i)] = "Include other*\n"
		many["other"+strings.Repeat("x", i)] = ""
	}
	for name, c := range map[string]struct {
		files tree
		says  string
	}{
		"no port":                {tree{"config": "\nPort many\n"}, `config line 2: port: "many"`},
		"a port too high":        {tree{"config": "Port 65536"}, `"65536" is no port`},
		"a quote without an end": {tree{"config": "User \"me\nHost *\n"}, "line 1: user: a quote has no end"},
		"no value":               {tree{"config": "HostName\n"}, "line 1: hostname: it has no value"},
		"two values":             {tree{"config": "HostName a b\n"}, `line 1: hostname: "b" follows`},
		"no criterion":           {tree{"config": "Match\n"}, "line 1: match"},
		"a criterion of nothing": {tree{"config": "Match host\n"}, `"host" has no argument`},
		"all beside others":      {tree{"config": "Match host a user b all\n"}, "all stands alone"},
		"all before others":      {tree{"config": "Match all host a\n"}, "all stands alone"},
		"no pattern":             {tree{"config": "Host # nobody\n"}, "line 1: host"},
		"a circle":               {tree{"config": "Include config\n", ".ssh/config": "Include config\n"}, "in a circle"},
		"a circle nobody is in": {tree{
			"config": "Host nobody\nInclude config\n", ".ssh/config": "Include config\n",
		}, "in a circle"},
		"the home of the machine": {tree{"system": "Include ~/x\n"}, "system line 1: include: ~/x"},
		"an include of nothing":   {tree{"config": "Include\n"}, "line 1: include: it names no file"},
		"a pattern that is none":  {tree{"config": "Include DIR/[\n"}, "line 1: include"},
		"more files than any":     {func() tree { many[".ssh/x"] = ""; return moved(many) }(), "more than 1000 files"},
		"a file longer than any":  {tree{"config": strings.Repeat("#", mostBytes+1)}, "more than 4194304 bytes"},
		"keys without end":        {tree{"config": keys(mostFiles + 1)}, "more than 100"},
	} {
		t.Run(name, func(t *testing.T) {
			files, _ := in(t, c.files)
			if v, err := files.Get(Query{Host: "alpha"}); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
}

// moved puts what is included where relative includes are.
func moved(files tree) tree {
	to := tree{}
	for name, text := range files {
		if name != "config" {
			name = ".ssh/" + name
		}
		to[name] = text
	}
	return to
}

func keys(n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString("IdentityFile k" + strings.Repeat("x", i) + "\n")
	}
	return text.String()
}

func TestWhatIsNotHonouredIsPassedOver(t *testing.T) {
	files, _ := in(t, tree{"config": "Ciphers \"\nNewest Option of all\nForwardAgent\nUser me\n"})
	if v, err := files.Get(Query{Host: "alpha"}); err != nil || v.User != "me" {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestPatterns(t *testing.T) {
	for pattern, fits := range map[string][]string{
		"":     {""},
		"*":    {"", "a", "abc"},
		"a*":   {"a", "abc"},
		"*c":   {"abc"},
		"a?c":  {"abc"},
		"a*b*": {"abc"},
		"?":    {"a"},
	} {
		for _, s := range []string{"", "a", "abc", "b"} {
			want := false
			for _, f := range fits {
				want = want || f == s || pattern == "*" || pattern == "?" && len(s) == 1
			}
			if matchPattern(pattern, s) != want {
				t.Errorf("%q and %q: %v", pattern, s, !want)
			}
		}
	}
}

// FuzzGet: whatever the files say, the evaluation ends, and what it gives can be used.
func FuzzGet(f *testing.F) {
	for _, files := range asOpenSSH {
		f.Add(files["config"], "alpha")
	}
	f.Add("Match exec \"touch /tmp/never\"\n  Port 1\nMatch all\n  Port 0\n", "alpha")
	f.Add("Include *\nInclude \"*\" '*'\nMatch final\nInclude *", "a.example.org")
	f.Add("Host a********************b\nUser x\n\"Port\"=\\\\ 22", strings.Repeat("a", 100))
	f.Fuzz(func(t *testing.T, text, name string) {
		if len(text) > 4<<10 {
			return // longer ones only take longer
		}
		for line := range strings.Lines(text) {
			if strings.ContainsAny(line, "/~") && strings.Contains(strings.ToLower(line), "include") {
				return // which would read whatever files this machine has
			}
		}
		dir := t.TempDir()
		tree{"config": text, ".ssh/config": text}.write(t, dir)
		files := Files{User: filepath.Join(dir, "config"), Home: dir, LocalUser: "me"}
		v, err := files.Get(Query{Host: name})
		if err != nil {
			return
		}
		if v.Port < 0 || v.Port > 65535 {
			t.Errorf("port %d", v.Port)
		}
		if len(v.IdentityFiles) > mostFiles || len(v.CertificateFiles) > mostFiles || len(v.UserKnownHostsFiles) > mostFiles {
			t.Errorf("more files than any: %+v", v)
		}
		again, err := files.Get(Query{Host: name, User: "given", Port: 7})
		if err == nil && (again.User != "given" || again.Port != 7) {
			t.Errorf("what was given does not count: %+v", again)
		}
	})
}
