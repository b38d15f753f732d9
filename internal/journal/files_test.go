package journal

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func someFiles() Files {
	return Files{
		Attempt: anAttempt, Guest: aGuest, From: alpha, To: beta, Controller: "runner-7", Since: time.Unix(1, 0).UTC(),
		List: []File{{"/var/lib/libvirt/images/a b&<>.qcow2", Made}, {"/i/virtmigrate-probe-1.img", Probe}, {"/i/old.raw", Old}},
	}
}

func TestFilesAreReadAsTheyWereWritten(t *testing.T) {
	want := someFiles()
	text, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseFiles(text); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	definition, id, err := FilesDefinition(want, "web", Machine{Type: "qemu", Arch: "x86_64", Name: "pc"})
	if err != nil || !isUUID(id) || !strings.Contains(definition, FilesPrefix+id[:8]) || !strings.Contains(definition, id) {
		t.Errorf("%s, %v", definition, err)
	}
}

func TestFilesThatAreWrongAreNone(t *testing.T) {
	for name, spoil := range map[string]func(*Files){
		"a relative path":   func(f *Files) { f.List[0].Path = "etc/passwd" },
		"a way upwards":     func(f *Files) { f.List[0].Path = "/images/../../etc/passwd" },
		"a folder":          func(f *Files) { f.List[0].Path = "/images/" },
		"the root":          func(f *Files) { f.List[0].Path = "/" },
		"no path":           func(f *Files) { f.List[0].Path = "" },
		"a line's end":      func(f *Files) { f.List[0].Path = "/a\nb" },
		"an unknown kind":   func(f *Files) { f.List[0].Kind = "everything" },
		"no guest":          func(f *Files) { f.Guest = "web" },
		"too many":          func(f *Files) { f.List = make([]File, maxFiles+1) },
		"a path too long":   func(f *Files) { f.List[0].Path = "/" + strings.Repeat("a", maxPath) },
		"a name of control": func(f *Files) { f.From.Hostname = "\x1b[31m" },
	} {
		t.Run(name, func(t *testing.T) {
			f := someFiles()
			spoil(&f)
			if text, err := f.Encode(); err == nil {
				t.Errorf("wrote %.200q", text)
			}
			// and as somebody else may have written it
			if got, err := ParseFiles(f.raw()); err == nil {
				t.Errorf("took %+v", got)
			}
		})
	}
}

// raw writes without a check.
func (f Files) raw() string {
	var list strings.Builder
	for _, file := range f.List {
		fmt.Fprintf(&list, `<file kind="%s" path="%s"/>`, file.Kind, strings.NewReplacer("\n", "&#10;", "&", "&amp;", "<", "&lt;").Replace(file.Path))
	}
	return fmt.Sprintf(`<files attempt="%s" guest="%s" from-uuid="%s" from-hostname="%s" to-uuid="%s" to-hostname="%s" controller="" since="2026-01-02T03:04:05Z">%s</files>`,
		f.Attempt, f.Guest, f.From.UUID, strings.ReplaceAll(f.From.Hostname, "\x1b", "&#x9b;"), f.To.UUID, f.To.Hostname, list.String())
}

func TestACanaryIsReadAsItWasWritten(t *testing.T) {
	want := Canary{Controller: "runner-7", Since: time.Unix(1, 0).UTC()}
	text, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseCanary(text); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"", "<canary/>", "<move/>", `<canary controller="&#x9b;" since="2026-01-02T03:04:05Z"/>`, strings.Repeat(" ", maxMove) + text} {
		if got, err := ParseCanary(text); err == nil {
			t.Errorf("%.100q gives %+v", text, got)
		}
	}
}

// FuzzRecords: whatever stands in a domain's metadata, what is taken for a record can be written again, and holds
// nothing that a terminal or a path would be deceived by.
func FuzzRecords(f *testing.F) {
	move, _ := someMove().Encode()
	files, _ := someFiles().Encode()
	f.Add(move)
	f.Add(files)
	f.Add(`<canary controller="a" since="2026-01-02T03:04:05Z"/>`)
	f.Add(`<domain><metadata><virtmigrate:move xmlns:virtmigrate="` + Namespace + `" attempt="x"/></metadata></domain>`)
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := ParseMove(text); err == nil {
			again, err := m.Encode()
			if err != nil {
				t.Fatalf("%+v cannot be written: %v", m, err)
			}
			if back, err := ParseMove(again); err != nil || back.Attempt != m.Attempt || back.Role != m.Role || back.To != m.To {
				t.Errorf("%+v becomes %+v (%v)", m, back, err)
			}
		}
		if files, err := ParseFiles(text); err == nil {
			for _, file := range files.List {
				if !strings.HasPrefix(file.Path, "/") || strings.Contains(file.Path, "/../") || strings.ContainsAny(file.Path, "\n\x1b") {
					t.Errorf("took the path %q", file.Path)
				}
			}
			if _, err := files.Encode(); err != nil {
				t.Errorf("%+v cannot be written: %v", files, err)
			}
		}
		_, _ = ParseCanary(text)
		_ = MoveIn(text)
	})
}
