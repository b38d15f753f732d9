package host

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// disk reads one disk as it stands in a description.
func disk(t *testing.T, text string) Disk {
	t.Helper()
	d, err := readDomain("<domain><devices>" + text + "</devices></domain>")
	if err != nil || len(d.Disks) != 1 {
		t.Fatalf("%+v, %v", d.Disks, err)
	}
	return d.Disks[0]
}

func TestANetworkDiskServedByTheHostItselfIsLocal(t *testing.T) {
	for hosts, local := range map[string]bool{
		"<host name='storage' port='10809'/>":        false,
		"<host name='192.0.2.7'/>":                   false,
		"<host name='localhost.example.org'/>":       true, // whatever it is, it should not be trusted
		"<host name='localhost'/>":                   true,
		"<host name='LOCALHOST.'/>":                  true,
		"<host name='127.0.0.53'/>":                  true,
		"<host name='::1'/>":                         true,
		"<host name='[::1]'/>":                       true,
		"<host name='::ffff:127.0.0.1'/>":            true,
		"<host name='0.0.0.0'/>":                     true,
		"<host transport='unix' socket='/run/nbd'/>": true,
		"<host name='a'/><host name='127.0.0.1'/>":   true,
		"": true,
	} {
		d := disk(t, "<disk type='network'><driver type='raw'/><source protocol='nbd' name='x'>"+hosts+"</source></disk>")
		if d.Local != local || d.Protocol != "nbd" {
			t.Errorf("%q: %+v", hosts, d)
		}
	}
	if d := disk(t, "<disk type='network'><source protocol='rbd' name='pool/image'/></disk>"); d.Local {
		t.Errorf("rbd finds its servers by itself: %+v", d)
	}
}

func TestTheServersOfANetworkDisk(t *testing.T) {
	for source, want := range map[string][]string{
		"protocol='nbd'><host name='a'/>":                                                 {"a:10809"},
		"protocol='nbd'><host name='a' port='1'/><host name='b' transport='tcp'/>":        {"a:1", "b:10809"},
		"protocol='iscsi' name='iqn.x:y/1'><host name='2001:db8::1' port='3261'/>":        {"[2001:db8::1]:3261"},
		"protocol='rbd' name='pool/image'><host name='[2001:db8::1]'/>":                   {"[2001:db8::1]:3300", "[2001:db8::1]:6789"},
		"protocol='gluster' name='v/i'><host name='a' transport='rdma'/><host name='b'/>": {"b:24007"},
		"protocol='nbd'><host transport='unix' socket='/run/nbd'/>":                       nil,
		"protocol='tftp' name='i'><host name='a'/>":                                       nil, // goes over UDP
		"protocol='rbd' name='pool/image'>":                                               nil,
	} {
		if d := disk(t, "<disk type='network'><source "+source+"</source></disk>"); !slices.Equal(d.Servers, want) {
			t.Errorf("%s: %q, want %q", source, d.Servers, want)
		}
	}
}

func TestTheImagesBelowADisk(t *testing.T) {
	const top = "<disk type='file'><driver type='qcow2' cache='unsafe'/><source file='/top'/>%s</disk>"
	base := "<backingStore type='file'><format type='raw'/><source file='/base'/>%s</backingStore>"
	middle := "<backingStore type='network'><format type='qcow2'/><source protocol='nbd' name='m'><host name='far'/></source>%s</backingStore>"
	for _, c := range []struct {
		name, below string
		want        []Backing
		known       bool
	}{
		{"nothing is said", "", nil, false},
		{"there is none", "<backingStore/>", nil, true},
		{"one, raw", fmt.Sprintf(base, ""), []Backing{{"/base", "raw", true}}, true},
		{"two", fmt.Sprintf(middle, fmt.Sprintf(base, "<backingStore/>")), []Backing{{"nbd://far/m", "qcow2", false}, {"/base", "raw", true}}, true},
		{"one, and then nothing is said", fmt.Sprintf(middle, ""), []Backing{{"nbd://far/m", "qcow2", false}}, false},
	} {
		d := disk(t, fmt.Sprintf(top, c.below))
		if diff := cmp.Diff(c.want, d.Backing); diff != "" || d.BackingKnown != c.known || d.Cache != "unsafe" || d.Path != "/top" {
			t.Errorf("%s: %s %+v", c.name, diff, d)
		}
	}
}

func TestWhereTheFirmwaresVariablesAre(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "<nvram/>": "", "<nvram> /a </nvram>": "/a", "<nvram type='file'><source file='/b'/></nvram>": "/b",
		"<nvram type='network'><source protocol='nbd' name='x'><host name='far'/></source></nvram>": "",
	} {
		d, err := readDomain("<domain><os>" + text + "</os></domain>")
		if err != nil || d.NVRAMPath != want || d.NVRAM != (text != "") {
			t.Errorf("%s: %q, %v, %v", text, d.NVRAMPath, d.NVRAM, err)
		}
	}
}

func TestVolumesThatAreNotMade(t *testing.T) {
	for _, v := range []Volume{
		{Name: "a", Format: "vmdk"},
		{Name: "a"},
		{Name: "a", Format: "raw", Backing: &Backing{Path: "/b", Format: "raw"}},
		{Name: "a", Format: "qcow2", Backing: &Backing{Path: "/b"}},
		{Name: "a", Format: "qcow2", Backing: &Backing{Format: "raw"}},
	} {
		if text, err := volumeXML(v); err == nil {
			t.Errorf("%+v became %s", v, text)
		}
	}
}

// What is said to the daemon of a volume is what is read back from such words.
func TestAVolumesDescriptionIsItsOwnInverse(t *testing.T) {
	for _, v := range []Volume{
		{Name: "a.raw", Format: "raw", CapacityBytes: 1<<40 + 1, OwnerUID: -1, OwnerGID: -1},
		{Name: `<&"'>`, Format: "qcow2", CapacityBytes: 3, OwnerUID: 0, OwnerGID: 64055, Mode: 0o640, Backing: &Backing{Path: "/a b/<c>", Format: "raw", Local: true}},
	} {
		text, err := volumeXML(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readVolume(text)
		if diff := cmp.Diff(v, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	}
}

func TestAPoolsDescription(t *testing.T) {
	got, err := readPool(`<pool type='netfs'><name>n</name><source><host name='nas'/><host name='nas2' port='2049'/><dir path='/export'/><format type='nfs'/></source><target><path>/mnt</path></target></pool>`)
	want := Pool{Name: "n", Type: "netfs", TargetPath: "/mnt", SourceHosts: []string{"nas", "nas2"}, SourceDir: "/export", SourceFormat: "nfs"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// FuzzStorageXML reads descriptions that no libvirt would write.
func FuzzStorageXML(f *testing.F) {
	f.Add(`<volume type='file'><name>a</name><capacity unit='bytes'>5</capacity><allocation>7</allocation><physical unit='KiB'>1</physical>
<target><path>/p/a</path><format type='qcow2'/><permissions><mode>0644</mode><owner>4294967295</owner><group>-1</group></permissions></target>
<backingStore><path>/p/b</path><format type='raw'/></backingStore></volume>`)
	f.Add(`<volume><capacity unit='EiB'>99999999999999999999</capacity><target><permissions><mode>9</mode></permissions></target></volume>`)
	f.Add(`<pool type='dir'><name>x</name><target><path>/p</path></target><source><host/><dir/><format/></source></pool>`)
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := readVolume(text); err == nil {
			if v.OwnerUID < -1 || v.OwnerGID < -1 || v.Mode&^fs.ModePerm != 0 || v.Backing != nil && v.Backing.Path == "" {
				t.Errorf("%+v", v)
			}
		}
		_, _ = readPool(text)
		_ = mentions(text, "/p")
	})
}

func TestOnlyDeadControllersPoolsAreSwept(t *testing.T) {
	const here, elsewhere, random = "aaaaaaaaaaaa", "bbbbbbbbbbbb", "0123456789abcdef01234567"
	now := time.Unix(1_800_000_000, 0)
	young, old := now.Add(-23*time.Hour).Unix(), now.Add(-25*time.Hour).Unix()
	alive := func(pid int) bool { return pid == 7 }
	pool := func(machine string, pid int, made int64) string {
		return fmt.Sprintf("virtmigrate-%s-%d-%d-%s", machine, pid, made, random)
	}
	for name, want := range map[string]bool{
		pool(here, 8, young):                     true,
		pool(here, 8, old):                       true,
		pool(here, 7, old):                       false, // alive
		pool(elsewhere, 8, old):                  true,
		pool(elsewhere, 7, old):                  true, // nobody here
		pool(elsewhere, 8, young):                false,
		pool(elsewhere, 8, now.Unix()+100000):    false, // a clock that is ahead
		pool(here, 0, old):                       false,
		pool(here, -1, old):                      false,
		pool(elsewhere, 8, 0):                    false,
		pool(elsewhere, 8, -old):                 false,
		pool("images", 8, old):                   false,
		pool(elsewhere, 8, old) + "0":            false,
		pool(elsewhere, 8, old) + "-x":           false,
		"x" + pool(elsewhere, 8, old):            false,
		"virtmigrate-" + here + "-8-" + random:   false, // without its time
		"virtmigrate-" + here + "-x-1-" + random: false,
		"virtmigrate-" + here:                    false,
		"images":                                 false,
	} {
		if got := leftBehind(name, here, now, alive); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	name, err := newPoolName()
	if err != nil {
		t.Fatal(err)
	}
	m, ok := parsePoolName(name)
	if !ok || m.machine != machine() || m.pid != os.Getpid() || time.Since(m.made).Abs() > time.Minute {
		t.Errorf("%s is of %+v, %v", name, m, ok)
	}
	if again, _ := newPoolName(); again == name {
		t.Errorf("%s twice", name)
	}
}

func TestTwoNamesOfOneMachine(t *testing.T) {
	for pair, same := range map[[2]string]bool{
		{"node", "node"}: true, {"node", "Node.example.org"}: true, {"node", "node2"}: false, {"", ""}: false,
	} {
		if sameMachine(pair[0], pair[1]) != same {
			t.Errorf("%q", pair)
		}
	}
}
