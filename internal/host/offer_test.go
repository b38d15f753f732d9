package host

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const someCapabilities = `<domainCapabilities><devices>
<disk supported='yes'><enum name='bus'><value>virtio</value><value>sata</value></enum></disk>
<graphics supported='yes'><enum name='type'><value>vnc</value></enum></graphics>
<video supported='yes'><enum name='modelType'><value>vga</value></enum></video>
<rng supported='yes'><enum name='model'/></rng>
<tpm supported='yes'><enum name='model'><value>tpm-crb</value></enum><enum name='backendModel'><value>passthrough</value></enum></tpm>
</devices></domainCapabilities>`

func TestModelsThatTheHypervisorDoesNotList(t *testing.T) {
	for devices, want := range map[string][]string{
		"<disk><target dev='vda' bus='virtio'/></disk>":                                 nil,
		"<disk><target dev='hda' bus='ide'/></disk>":                                    {"disk ide (it has virtio, sata)"},
		"<graphics type='spice'/>":                                                      {"graphics spice (it has vnc)"},
		"<graphics type='dbus'/>":                                                       nil,
		"<video><model type='qxl'/></video><video><model type='qxl'/></video>":          {"video qxl (it has vga)"},
		"<video><model type='none'/></video>":                                           nil,
		"<rng model='virtio'><backend model='random'/></rng>":                           nil, // its list is empty
		"<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>":           {"tpm emulator (it has passthrough)"},
		"<sound model='ich9'/>":                                                         nil, // there is no list of it
		"<graphics type='spice'/><disk><target dev='hda' bus='ide'/></disk><watchdog/>": {"disk ide (it has virtio, sata)", "graphics spice (it has vnc)"},
	} {
		got, err := lacking("<domain><devices>"+devices+"</devices></domain>", someCapabilities)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, error %v, want %q", devices, got, err, want)
		}
	}
	if _, err := lacking("<domain/>", "no capabilities"); err == nil {
		t.Error("rubbish is no error")
	}
}

func TestARefusalIsAnAnswerAndSilenceIsNot(t *testing.T) {
	silence := errors.New("the cable is cut")
	for _, c := range []struct {
		err  error
		want Answer
		is   error
	}{
		{nil, Answer{Known: true, Can: true}, nil},
		{&Error{Code: CodeCPUIncompatible, Message: "no avx"}, Answer{Known: true, Why: "no avx"}, nil},
		{&Error{Code: CodeNotSupported, Message: "no such call"}, Answer{Why: "no such call"}, nil},
		{&Error{Err: silence}, Answer{}, silence},
	} {
		got, err := judged(c.err, CodeCPUIncompatible)
		if got != c.want || !errors.Is(err, c.is) {
			t.Errorf("%v: %+v and error %v", c.err, got, err)
		}
	}
}

func TestHugePageSizes(t *testing.T) {
	for backing, want := range map[string][]uint64{
		"":             nil,
		"<hugepages/>": {0},
		"<hugepages><page size='2048' unit='KiB'/></hugepages>":                                             {2 << 20},
		"<hugepages><page size='1' unit='G' nodeset='0'/><page size='2' unit='M' nodeset='1'/></hugepages>": {1 << 30, 2 << 20},
	} {
		d, err := readDomain("<domain><name>g</name><memoryBacking>" + backing + "</memoryBacking><devices/></domain>")
		if err != nil {
			t.Fatal(err)
		}
		if got := d.HugePageSizes(); !slices.Equal(got, want) {
			t.Errorf("%s: %d, want %d", backing, got, want)
		}
	}
}

func TestWhatADescriptionSaysOfTheCPU(t *testing.T) {
	d := Domain{XML: "<domain><cpu mode='host-passthrough' check='none'><topology sockets='1' cores='2' threads='2'/></cpu></domain>"}
	if d.CPUMode() != "host-passthrough" || d.CPUThreads() != 2 {
		t.Errorf("%s with %d threads", d.CPUMode(), d.CPUThreads())
	}
	if d := (Domain{XML: "<domain/>"}); d.CPUMode() != "" || d.CPUThreads() != 1 {
		t.Errorf("%s with %d threads", d.CPUMode(), d.CPUThreads())
	}
	if got := strings.Map(nodeName, "br-app.7"); got != "br_app_7" {
		t.Error(got)
	}
}
