package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// TestSecretsStayWhereTheyAre moves a guest over SSH by the relay, and back over TLS by QEMU's, with all that Ansible
// can be made to say and to keep, and looks for the keys of this machine in everything that others could read.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	l := labtest.Lab(t)
	planted := labtest.Plant(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 64})
	own := t.TempDir()
	task := func(kind lab.Kind, to string) vars {
		hosts := hostVars(l, kind)
		for _, h := range l.Hosts {
			hosts[h.Name].(vars)["uri"] = planted.URI(h, kind)
		}
		return vars{module: moveVars(l, g, to, vars{"hosts": hosts, "migration": vars{"bandwidth_mib_per_second": 48, "progress_file": filepath.Join(own, "progress")}})}
	}
	cmd := ansible(labtest.Context(t, 2*time.Minute), t, "ansible-playbook", "-vvvv", "--diff", writePlay(t, task(lab.SSH, "beta"), task(lab.TLS, "alpha")))
	cmd.Env = append(cmd.Env, planted.Variable, "ANSIBLE_KEEP_REMOTE_FILES=1", "ANSIBLE_DEBUG=1", "ANSIBLE_LOG_PATH="+filepath.Join(own, "log"), "XDG_STATE_HOME="+own, "XDG_RUNTIME_DIR="+own, "TMPDIR="+own)
	bystander := planted.Watch(t, labtest.TheVariable)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "changed=2") || !strings.Contains(string(out), "transferred_bytes") {
		t.Fatalf("%v\n%s", err, out)
	}
	labtest.MustRun(t, g, "alpha")
	if found := bystander.Saw(t, "AnsiballZ_domain with "+labtest.TheVariable, labtest.TheRelay); len(found) > 0 {
		t.Errorf("seen among processes: %q", found)
	}
	found, read := planted.InFiles(t, append(planted.OnHosts(), cmd.Dir, own)...)
	if found = append(found, planted.In(out)...); len(found) > 0 || read < 10 {
		t.Errorf("found in %d files and what was printed: %q", read, found)
	}
}

// TestPasswordInAURI: Ansible itself shows what it gives to a module at -vvv, but for what it was told not to; the module
// repeats nothing.
func TestPasswordInAURI(t *testing.T) {
	const password = "marker-of-a-uri-4b9d77"
	s := labtest.Secrets{"the password": password}
	for _, uri := range []string{"qemu+ssh://root:PASSWORD@192.0.2.1/system", "qemu+ssh://root:1/PASSWORD@192.0.2.1/system", "qemu+tls://192.0.2.1/system?password=PASSWORD"} {
		task := vars{module: vars{"hosts": vars{"alpha": vars{"uri": strings.Replace(uri, "PASSWORD", "{{ lookup('env', 'SECRET') }}", 1)}}, "name": "web", "host": "alpha"}}
		own := t.TempDir()
		cmd := ansible(labtest.Context(t, time.Minute), t, "ansible-playbook", "-vvvv", "--check", writePlay(t, task))
		cmd.Env = append(cmd.Env, "SECRET="+password, "ANSIBLE_LOG_PATH="+filepath.Join(own, "log"), "TMPDIR="+own)
		out, err := cmd.CombinedOutput()
		found, _ := s.InFiles(t, cmd.Dir, own)
		if err == nil || !strings.Contains(string(out), "failed=1") || len(found) > 0 || len(s.In(out)) > 0 {
			t.Errorf("%s: %v, found in %q; printed:\n%s", uri, err, found, out)
		}
	}
}
