package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// TestCLISecretsStayWhereTheyAre moves a guest over SSH by the relay, and back over TLS by QEMU's, with all that
// terraform can be made to log, and looks for the keys of this machine in everything that others could read.
func TestCLISecretsStayWhereTheyAre(t *testing.T) {
	l := needLab(t)
	planted := labtest.Plant(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "discreet", Host: "alpha", FillMiB: 64})
	w := newWorkspace(t)
	log := filepath.Join(w.dir, "trace.log")
	own := t.TempDir()
	w.env = append(w.env, planted.Variable, "TF_LOG=TRACE", "TF_LOG_PATH="+log, "XDG_STATE_HOME="+own, "XDG_RUNTIME_DIR="+own)
	config := func(kind lab.Kind, host string) string {
		hosts := providerBlock(l, kind)
		for _, h := range l.Hosts {
			hosts = strings.Replace(hosts, h.URI(kind), planted.URI(h, kind), 1)
		}
		return hosts + domain(g.Name, host, block("migration", `bandwidth_mib_per_second = 48`, `progress_file = "`+filepath.Join(own, "progress")+`"`))
	}
	folders := append(planted.OnHosts(), w.dir, own, socketFolder(w))
	bystander := planted.Watch(t, labtest.TheVariable)
	for _, way := range []struct {
		kind lab.Kind
		to   string
	}{{lab.SSH, "beta"}, {lab.TLS, "alpha"}} {
		w.write("main.tf", config(way.kind, way.to))
		printed := w.must("plan", "-no-color", "-out=move")
		ctx := labtest.Context(t, 2*time.Minute)
		var out bytes.Buffer
		apply := w.command(ctx, "apply", "-no-color", "move")
		apply.Stdout, apply.Stderr = &out, &out
		if err := apply.Start(); err != nil {
			t.Fatal(err)
		}
		from := map[string]string{"alpha": "beta", "beta": "alpha"}[way.to]
		awaitCopy(ctx, t, l.Host(from), g.Name)
		midway, _ := planted.InFiles(t, folders...)
		if err := apply.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		printed += out.String() + w.must("show", "-no-color", "move") + w.must("show", "-json", "move") + w.must("show", "-json")
		after, read := planted.InFiles(t, folders...)
		if found := append(append(planted.In([]byte(printed)), midway...), after...); len(found) > 0 || read < 10 {
			t.Errorf("to %s, found in %d files and what was printed: %q", way.to, read, found)
		}
		labtest.MustRun(t, g, way.to)
	}
	if found := bystander.Saw(t, "terraform", "terraform-provider-virtmigrate with "+labtest.TheVariable, labtest.TheRelay); len(found) > 0 {
		t.Errorf("seen among processes: %q", found)
	}
	if info, err := os.Stat(log); err != nil || info.Size() < 100_000 {
		t.Errorf("the log has said little: %v, %v", info, err)
	}
	// the same eyes on what does have them
	if found, _ := planted.InFiles(t, planted.Folder); len(found) < 2 {
		t.Errorf("in the folder of the keys: %q", found)
	}
}

// socketFolder is where terraform and its provider keep temporary files.
func socketFolder(w *workspace) string {
	for _, e := range w.env {
		if dir, is := strings.CutPrefix(e, "TMPDIR="); is {
			return dir
		}
	}
	w.t.Fatal("there is no TMPDIR")
	return ""
}

// TestCLIPasswordInAURI: nobody repeats it, although it is refused, and neither does the log.
func TestCLIPasswordInAURI(t *testing.T) {
	const password = "marker-of-a-uri-4b9d77"
	s := labtest.Secrets{"the password": password}
	for _, uri := range []string{"qemu+ssh://root:${var.password}@192.0.2.1/system", "qemu+ssh://root:1/${var.password}@192.0.2.1/system", "qemu+tls://192.0.2.1/system?password=${var.password}"} {
		w := newWorkspace(t)
		w.env = append(w.env, "TF_VAR_password="+password, "TF_LOG=TRACE", "TF_LOG_PATH="+filepath.Join(w.dir, "trace.log"))
		w.write("main.tf", "variable \"password\" {\n  sensitive = true\n}\nprovider \"virtmigrate\" {\n  hosts = { alpha = { uri = \""+uri+"\" } }\n}\n"+domain("web", "alpha"))
		out, code := w.run("plan", "-no-color")
		found, read := s.InFiles(t, w.dir, socketFolder(w))
		if code == 0 || read < 4 || len(found) > 0 || len(s.In([]byte(out))) > 0 {
			t.Errorf("%s: exit code %d, found in %d files: %q; printed:\n%s", uri, code, read, found, out)
		}
	}
}
