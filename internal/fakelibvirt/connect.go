package fakelibvirt

import (
	"fmt"

	libvirt "github.com/digitalocean/go-libvirt"
)

const (
	libvirtVersion = 9000000
	qemuVersion    = 7002022
	memoryKiB      = 8 << 20
	cpus           = 4
)

// connectProcedures are about the daemon and its host.
var connectProcedures = map[uint32]procedure{
	// go-libvirt's own form of an optional string is not read: there is one driver
	1: question("open", func(*client, none) (none, error) { return none{}, nil }),
	2: question("close", func(*client, none) (none, error) { return none{}, nil }),
	3: question("driver", func(*client, none) (libvirt.ConnectGetTypeRet, error) {
		return libvirt.ConnectGetTypeRet{Type: "QEMU"}, nil
	}),
	4: question("hypervisor version", func(*client, none) (libvirt.ConnectGetVersionRet, error) {
		return libvirt.ConnectGetVersionRet{HvVer: qemuVersion}, nil
	}),
	6: question("node", func(*client, none) (libvirt.NodeGetInfoRet, error) {
		return libvirt.NodeGetInfoRet{Memory: memoryKiB, Cpus: cpus, Mhz: 1000, Nodes: 1, Sockets: 1, Cores: cpus, Threads: 1}, nil
	}),
	7: question("capabilities", func(c *client, _ none) (libvirt.ConnectGetCapabilitiesRet, error) {
		return libvirt.ConnectGetCapabilitiesRet{Capabilities: fmt.Sprintf(
			`<capabilities><host><uuid>%s</uuid><cpu><arch>x86_64</arch><model>qemu64</model></cpu></host></capabilities>`, c.daemon.uuid)}, nil
	}),
	59: question("host name", func(c *client, _ none) (libvirt.ConnectGetHostnameRet, error) {
		return libvirt.ConnectGetHostnameRet{Hostname: c.daemon.name}, nil
	}),
	60: question("feature", func(*client, libvirt.ConnectSupportsFeatureArgs) (libvirt.ConnectSupportsFeatureRet, error) {
		return libvirt.ConnectSupportsFeatureRet{Supported: 1}, nil
	}),
	66: question("ways in", func(*client, none) (libvirt.AuthListRet, error) {
		return libvirt.AuthListRet{Types: []libvirt.AuthType{0}}, nil
	}),
	102: question("free memory", func(*client, none) (libvirt.NodeGetFreeMemoryRet, error) {
		return libvirt.NodeGetFreeMemoryRet{FreeMem: memoryKiB << 9}, nil
	}),
	157: question("libvirt version", func(*client, none) (libvirt.ConnectGetLibVersionRet, error) {
		return libvirt.ConnectGetLibVersionRet{LibVer: libvirtVersion}, nil
	}),
	227: question("CPU counters", func(_ *client, a libvirt.NodeGetCPUStatsArgs) (libvirt.NodeGetCPUStatsRet, error) {
		list := []libvirt.NodeGetCPUStats{
			{Field: "kernel", Value: 1e9}, {Field: "user", Value: 2e9}, {Field: "idle", Value: 9e9}, {Field: "iowait"},
		}
		if a.Nparams == 0 {
			return libvirt.NodeGetCPUStatsRet{Nparams: int32(len(list))}, nil
		}
		return libvirt.NodeGetCPUStatsRet{Params: list, Nparams: int32(len(list))}, nil
	}),
	228: question("memory counters",
		func(_ *client, a libvirt.NodeGetMemoryStatsArgs) (libvirt.NodeGetMemoryStatsRet, error) {
			list := []libvirt.NodeGetMemoryStats{
				{Field: "total", Value: memoryKiB}, {Field: "free", Value: memoryKiB / 2}, {Field: "buffers"}, {Field: "cached"},
			}
			if a.Nparams == 0 {
				return libvirt.NodeGetMemoryStatsRet{Nparams: int32(len(list))}, nil
			}
			return libvirt.NodeGetMemoryStatsRet{Params: list, Nparams: int32(len(list))}, nil
		}),
	273: question("list domains",
		func(c *client, _ libvirt.ConnectListAllDomainsArgs) (r libvirt.ConnectListAllDomainsRet, err error) {
			for _, dom := range c.daemon.sorted() {
				r.Domains = append(r.Domains, dom.wire())
			}
			r.Ret = uint32(len(r.Domains))
			return r, nil
		}),
	316: question("ask for events", register),
	317: question("ask for no events",
		func(c *client, a libvirt.ConnectDomainEventCallbackDeregisterAnyArgs) (none, error) {
			if c.listens == a.CallbackID {
				c.listens = 0
			}
			return none{}, nil
		}),
	342: question("emulator's capabilities",
		func(*client, libvirt.ConnectGetDomainCapabilitiesArgs) (libvirt.ConnectGetDomainCapabilitiesRet, error) {
			return libvirt.ConnectGetDomainCapabilitiesRet{Capabilities: `<domainCapabilities><machine>pc-q35-7.2</machine></domainCapabilities>`}, nil
		}),
	344: question("domain statistics",
		func(c *client, _ libvirt.ConnectGetAllDomainStatsArgs) (r libvirt.ConnectGetAllDomainStatsRet, err error) {
			for _, dom := range c.daemon.sorted() {
				if dom.live == nil {
					continue
				}
				s := dom.state()
				r.RetStats = append(r.RetStats, libvirt.DomainStatsRecord{Dom: dom.wire(), Params: []libvirt.TypedParam{
					{Field: "state.state", Value: *libvirt.NewTypedParamValueInt(int32(s.State))},
					{Field: "state.reason", Value: *libvirt.NewTypedParamValueInt(int32(s.Reason))},
				}})
			}
			return r, nil
		}),
	393: question("compare CPU",
		func(*client, libvirt.ConnectCompareHypervisorCPUArgs) (libvirt.ConnectCompareHypervisorCPURet, error) {
			return libvirt.ConnectCompareHypervisorCPURet{Result: 2}, nil
		}),
}

// register numbers those who listen; only events of domains' lives ever come.
func register(c *client, a libvirt.ConnectDomainEventCallbackRegisterAnyArgs) (libvirt.ConnectDomainEventCallbackRegisterAnyRet, error) {
	c.daemon.lastCallback++
	if libvirt.DomainEventID(a.EventID) == libvirt.DomainEventIDLifecycle {
		c.listens = c.daemon.lastCallback
	}
	return libvirt.ConnectDomainEventCallbackRegisterAnyRet{CallbackID: c.daemon.lastCallback}, nil
}
