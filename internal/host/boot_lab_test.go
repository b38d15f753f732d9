package host_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// TestABootMarkOutlivesTheDaemonAndNotTheBoot takes marks with and without a login.
func TestABootMarkOutlivesTheDaemonAndNotTheBoot(t *testing.T) {
	alpha(t) // skips where there can be none
	l, err := lab.Start(within(t, 5*time.Minute), lab.Config{Name: "hostboot", Hosts: []string{"alpha"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	on := l.Host("alpha")
	ctx := within(t, 2*time.Minute)
	marks := map[lab.Kind]string{}
	same := func(kind lab.Kind, want bool) {
		t.Helper()
		h, err := host.Dial(ctx, host.Config{Name: "alpha", URI: on.URI(kind)})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if got, err := h.SameBoot(ctx, marks[kind]); err != nil || got != want {
			t.Errorf("%s: the same boot as %q: %v, %v; want %v", kind, marks[kind], got, err, want)
		}
	}
	for kind, prefix := range map[lab.Kind]string{lab.SSH: "id:", lab.TLS: "pool:"} {
		h, err := host.Dial(ctx, host.Config{Name: "alpha", URI: on.URI(kind)})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if marks[kind], err = h.BootMark(ctx, "one"); err != nil || !strings.HasPrefix(marks[kind], prefix) {
			t.Fatalf("%s: %q, %v", kind, marks[kind], err)
		}
		same(kind, true)
	}
	if err := on.RestartDaemon(ctx); err != nil {
		t.Fatal(err)
	}
	same(lab.SSH, true)
	same(lab.TLS, true)
	if err := on.CutPower(ctx, nil); err != nil {
		t.Fatal(err)
	}
	same(lab.SSH, false)
	same(lab.TLS, false)

	// what a mark leaves goes with it
	h, err := host.Dial(ctx, host.Config{Name: "alpha", URI: on.URI(lab.TLS)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	mark, err := h.BootMark(ctx, "two")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.DropBootMark(ctx, mark); err != nil {
			t.Error(err)
		}
	}
	if pools, err := h.Pools(ctx); err != nil || len(pools) > 0 {
		t.Errorf("pools %v, %v", pools, err)
	}
	if left, err := on.Exec(ctx, "ls", "/run"); err != nil || strings.Contains(left, "virtmigrate") {
		t.Errorf("/run has %q, %v", left, err)
	}
	if got, err := h.SameBoot(ctx, "pool:somebodys"); err == nil || got {
		t.Errorf("a pool of another name was a mark: %v", got)
	}
}

func TestMetadataOfBothForms(t *testing.T) {
	on := alpha(t)
	ctx := within(t, time.Minute)
	g, err := testLab.StartGuest(ctx, lab.GuestConfig{Name: "metadata", Host: on.Name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Remove(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
	})
	h, err := host.Dial(ctx, host.Config{Name: "alpha", URI: on.URI(lab.TLS)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	const space = "urn:virtmigrate:test"
	for _, form := range []host.Form{host.FormLive, host.FormConfig} {
		if text, err := h.Metadata(ctx, g.UUID, space, form); !errors.Is(err, host.ErrNoMetadata) {
			t.Errorf("form %d of nothing: %q, %v", form, text, err)
		}
	}
	if err := h.SetMetadata(ctx, g.UUID, "v", space, `<a b="c&amp;d"/>`, host.FormLive, host.FormConfig); err != nil {
		t.Fatal(err)
	}
	for _, form := range []host.Form{host.FormLive, host.FormConfig} {
		if text, err := h.Metadata(ctx, g.UUID, space, form); err != nil || strings.TrimSpace(text) != `<a b="c&amp;d"/>` {
			t.Errorf("form %d: %q, %v", form, text, err)
		}
	}
	if err := h.SetMetadata(ctx, g.UUID, "v", space, "", host.FormConfig); err != nil {
		t.Fatal(err)
	}
	if text, err := h.Metadata(ctx, g.UUID, space, host.FormConfig); !errors.Is(err, host.ErrNoMetadata) {
		t.Errorf("removed: %q, %v", text, err)
	}
	if text, err := h.Metadata(ctx, g.UUID, space, host.FormLive); err != nil || text == "" {
		t.Errorf("the other form: %q, %v", text, err)
	}
	if _, err := h.Metadata(ctx, "11111111-2222-3333-4444-555555555555", space, host.FormLive); !errors.Is(err, host.ErrNoDomain) {
		t.Errorf("nobody's: %v", err)
	}
}
