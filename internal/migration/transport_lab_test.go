package migration

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

func TestTunnel(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 96, DirtyMiBPerSecond: 8, Disk: true, NIC: true})
	plainPeers := func(hosts map[string]HostConfig) {
		for key, h := range hosts {
			h.PeerURI, h.AllowPlainControl = l.Host(key).PeerURI(lab.TCP), true
			hosts[key] = h
		}
	}
	ctx := labtest.Context(t, 2*time.Minute)
	o, err := labFleet(t, l).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Transport: TransportTunnel}})
	if err != nil {
		t.Fatal(err)
	}
	labtest.MustRun(t, g, "beta")
	r := o.Result
	if r.Transport != TransportTunnel || !*r.Encrypted || r.Encryption.Protocol != "TLS (by libvirt)" || r.Control != ControlPeerToPeer || *r.ParallelConnections != 1 {
		t.Errorf("result %+v", r)
	}
	for figure, why := range r.MissingFigures {
		if !strings.HasSuffix(figure, "_percent") && figure != "dirty_bytes_per_second" {
			t.Errorf("no %s: %s", figure, why)
		}
	}
	// over a connection that is not encrypted it is refused
	_, err = labFleet(t, l, plainPeers).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "alpha", Options: Options{Transport: TransportTunnel}})
	if err == nil || !strings.Contains(err.Error(), "unencrypted") || !strings.Contains(err.Error(), "untouched on beta") {
		t.Errorf("error %v", err)
	}
	labtest.MustRun(t, g, "beta")
	o, err = labFleet(t, l, plainPeers).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "alpha", Options: Options{Transport: TransportTunnel, AllowPlain: true}})
	if err != nil {
		t.Fatal(err)
	}
	if *o.Result.Encrypted || o.Result.Encryption != nil || !slices.ContainsFunc(o.Warnings, func(w string) bool { return strings.Contains(w, "unencrypted") }) {
		t.Errorf("result %+v, warnings %q", o.Result, o.Warnings)
	}
	labtest.MustRun(t, g, "alpha")
}

func wrongName(hosts map[string]HostConfig) {
	h := hosts["beta"]
	h.TLSDestination = "somebody-else"
	hosts["beta"] = h
}

// TestAutoGoesOnToTheNextEncryptedTransport: nobody can see beforehand that tls will fail (there is no
// login to look at the certificates), and its handshake does.
func TestAutoGoesOnToTheNextEncryptedTransport(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true})
	ctx := labtest.Context(t, time.Minute)
	o, err := labFleet(t, l, wrongName).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
	if err != nil {
		t.Fatal(err)
	}
	labtest.MustRun(t, g, "beta")
	if o.Result.Transport != TransportTunnel || !*o.Result.Encrypted {
		t.Errorf("result %+v", o.Result)
	}
	if !slices.ContainsFunc(o.Warnings, func(w string) bool {
		return strings.Contains(w, "tls was tried first") && strings.Contains(w, "hostname")
	}) {
		t.Errorf("warnings %q", o.Warnings)
	}
	if !strings.Contains(o.Result.TransportReason, "tls: its handshake failed") {
		t.Errorf("reason %q", o.Result.TransportReason)
	}
}

// TestPlanSeesCertificates: with a login the certificate's name rules tls out before anything is begun.
func TestPlanSeesCertificates(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha"})
	ctx := labtest.Context(t, time.Minute)
	overSSH := func(hosts map[string]HostConfig) {
		for key, h := range hosts {
			h.URI = l.Host(key).URI(lab.SSH)
			hosts[key] = h
		}
	}
	p, err := labFleet(t, l, overSSH).Plan(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Transport: TransportTLS}})
	if err != nil || p.Transport != TransportTLS || p.Err() != nil || !slices.ContainsFunc(p.ToBeConfirmed, func(s string) bool { return strings.Contains(s, "read the keys") }) {
		t.Errorf("plan %+v, error %v", p, err)
	}
	p, err = labFleet(t, l, overSSH, wrongName).Plan(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
	if err != nil || p.Transport != TransportRelay || !strings.Contains(p.RuledOut[TransportTLS], `"somebody-else"`) {
		t.Errorf("plan %+v, error %v", p, err)
	}
	p, err = labFleet(t, l, overSSH, wrongName).Plan(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Transport: TransportTLS}})
	if err != nil || p.Err() == nil || !strings.Contains(p.Err().Error(), `"somebody-else"`) {
		t.Errorf("plan %+v, error %v", p, err)
	}
}

func TestExpectedSource(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha"})
	hosts := func(h map[string]HostConfig) { h["third"] = HostConfig{URI: h["beta"].URI, PeerURI: h["beta"].PeerURI} }
	_, err := labFleet(t, l, hosts).Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta", From: "third"})
	if err == nil || !strings.Contains(err.Error(), "expected on third") {
		t.Errorf("error %v", err)
	}
	labtest.MustRun(t, g, "alpha")
}

func TestProgressFile(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 96})
	path := t.TempDir() + "/progress"
	if _, err := labFleet(t, l).Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta",
		Options: Options{ProgressFile: path, BandwidthMiBPerSecond: 48}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v", info.Mode())
	}
	var steps []Step
	middle := 0
	for text := range strings.Lines(string(text)) {
		var l ProgressLine
		if err := json.Unmarshal([]byte(text), &l); err != nil || l.Guest != g.Name || l.To != "beta" || l.At.IsZero() {
			t.Fatalf("line %q: %v", text, err)
		}
		if len(steps) == 0 || steps[len(steps)-1] != l.Step {
			steps = append(steps, l.Step)
		}
		if l.Percent != nil && *l.Percent > 0 && *l.Percent < 100 && *l.RemainingBytes > 0 && l.BytesPerSecond != nil && *l.BytesPerSecond > 0 && l.ExpectedEnd != nil && l.ExpectedEnd.After(l.At) {
			middle++
		}
	}
	want := []Step{StepLocate, StepInspect, StepDecide, StepBegin, StepPrepare, StepPerform, StepCopy, StepSwitch, StepConfirm, StepVerify, StepDone}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %v", steps)
	}
	if middle == 0 {
		t.Errorf("no line has a rate and an expected end: %s", text)
	}
}
