package journal

import (
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirtxml"
)

const (
	anAttempt = "11111111-1111-4111-8111-111111111111"
	aGuest    = "33333333-3333-4333-8333-333333333333"
)

var (
	alpha = Daemon{UUID: "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", Hostname: "alpha.example.org"}
	beta  = Daemon{UUID: "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb", Hostname: "beta"}
)

func someMove() Move {
	return Move{
		Attempt: anAttempt, Role: Leaving, From: alpha, To: beta, ToBoot: "id:" + aGuest, Replaced: true, Autostart: true, Transient: true,
		DefinitionOnly: true, Stub: true, Controller: `runner-7 "<&'> (process 4711)`, Since: time.Date(2026, 11, 26, 17, 0, 0, 0, time.UTC),
	}
}

func TestAMoveIsReadAsItWasWritten(t *testing.T) {
	for name, m := range map[string]Move{
		"everything": someMove(),
		"the least":  {Attempt: anAttempt, Role: Awaited, From: alpha, To: beta, Since: time.Unix(0, 0).UTC()},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := m.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if len(text) > maxMove {
				t.Errorf("%d bytes", len(text))
			}
			if got, err := ParseMove(text); err != nil || got != m {
				t.Errorf("%+v, %v; want %+v", got, err, m)
			}
		})
	}
}

func TestAMoveThatIsWrongIsNone(t *testing.T) {
	good, err := someMove().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":             "",
		"another element":     "<files/>",
		"no attributes":       "<move/>",
		"a role of tomorrow":  strings.Replace(good, `role="leaving"`, `role="paused"`, 1),
		"an attempt too long": strings.Replace(good, anAttempt, anAttempt+"0", 1),
		"no UUID":             strings.Replace(good, alpha.UUID, "../../etc/passwd", 1),
		"no time":             strings.Replace(good, "2026", "x", 1),
		"a terminal's escape": strings.Replace(good, "alpha.example.org", "&#x9b;31m", 1),
		"a line's end":        strings.Replace(good, "alpha.example.org", "a&#10;b", 1),
		"text without end":    strings.Replace(good, "alpha.example.org", strings.Repeat("a", maxMove), 1),
		"a name too long":     strings.Replace(good, "alpha.example.org", strings.Repeat("a", maxText+1), 1),
		"cut off":             good[:len(good)/2],
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := ParseMove(text); err == nil {
				t.Errorf("took %+v", m)
			}
		})
	}
}

func TestAMoveThatCannotBeReadIsNotWritten(t *testing.T) {
	m := someMove()
	m.Controller = strings.Repeat("a", maxText+1)
	if text, err := m.Encode(); err == nil {
		t.Errorf("wrote %q", text)
	}
}

func TestTheStubIsADomainThatAwaits(t *testing.T) {
	text, err := Stub("web & co", aGuest, Machine{Type: "kvm", Arch: "x86_64", Name: "pc-q35-7.2", TPM: "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"}, someMove())
	if err != nil {
		t.Fatal(err)
	}
	var d libvirtxml.Domain
	if err := d.Unmarshal(text); err != nil {
		t.Fatal(err)
	}
	if d.Name != "web & co" || d.UUID != aGuest || d.Type != "kvm" || d.OS.Type.Machine != "pc-q35-7.2" || len(d.Devices.TPMs) != 1 {
		t.Errorf("%s", text)
	}
	if len(d.Devices.Disks)+len(d.Devices.Interfaces)+len(d.Devices.Hostdevs) > 0 {
		t.Errorf("it has something of the guest: %s", text)
	}
	if m := MoveIn(text); m == nil || m.Role != Awaited || !m.Stub || m.Attempt != anAttempt {
		t.Errorf("its token is %+v", m)
	}
}

func TestOnlyOurOwnNamespaceHasOurRecord(t *testing.T) {
	record, err := someMove().Encode()
	if err != nil {
		t.Fatal(err)
	}
	inside := func(space string) string {
		return `<domain><metadata><x:other xmlns:x="urn:x"/>` + strings.Replace(strings.Replace(record, "<move", `<v:move xmlns:v="`+space+`"`, 1), "</move>", "</v:move>", 1) + `</metadata></domain>`
	}
	if m := MoveIn(inside(Namespace)); m == nil || m.Attempt != anAttempt {
		t.Errorf("%+v", m)
	}
	for _, text := range []string{inside("urn:somebody"), "<domain/>", "<domain><metadata>", "", "no XML"} {
		if m := MoveIn(text); m != nil {
			t.Errorf("%q gives %+v", text, m)
		}
	}
}

func TestTPMOf(t *testing.T) {
	got := TPMOf(`<domain><devices><disk/><tpm model="tpm-crb"><backend type="emulator"/><alias name="tpm0"/></tpm></devices></domain>`)
	if got != `<tpm model="tpm-crb"><backend type="emulator"/></tpm>` {
		t.Errorf("%q", got)
	}
	if got := TPMOf("<domain/>") + TPMOf("<dom"); got != "" {
		t.Errorf("%q", got)
	}
}
