package migration

import (
	"reflect"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/relay"
)

// carried is what a plan hands to whoever carries it out.
type carried struct {
	Flags        host.Flags
	Parallel     int
	TLSName      string
	MigrateURI   string
	Disks        int
	Limit        time.Duration
	Downtime     time.Duration
	Blackout     time.Duration
	Relay        *relay.Settings
	RelaysDisks  bool
	BandwidthMiB uint64
}

func carriedBy(p Plan) carried {
	r := p.recipe
	const ways = host.FlagTLS | host.FlagParallel | host.FlagTunnelled | host.FlagNonSharedDisk
	c := carried{
		Flags: r.flags & ways, Parallel: r.params.ParallelConnections, TLSName: r.params.TLSDestination,
		MigrateURI: r.params.MigrateURI, Disks: len(r.params.MigrateDisks), Limit: r.pacing.limit,
		Downtime: r.pacing.downtime, Blackout: r.pacing.blackout, BandwidthMiB: r.params.BandwidthMiBPerSecond,
	}
	if r.relay != nil {
		c.Relay, c.RelaysDisks = &r.relay.settings, r.relay.disks
	}
	return c
}

// relayFacts are hosts between which every transport can be.
func relayFacts() facts {
	fa := someFacts()
	fa.source.QEMUUser, fa.destination.QEMUUser = &host.User{UID: 64055, GID: 64055}, &host.User{UID: 64055, GID: 64055}
	return fa
}

// withDisk gives the guest a disk of 2 GiB that can be copied.
func withDisk(fa *facts) {
	d := host.Disk{
		Target: "vdb", Device: "disk", Type: "file", Format: "qcow2", Path: "/images/web", Source: "/images/web",
		Local: true, CapacityBytes: 2 << 30,
	}
	fa.guest.Disks = append(fa.guest.Disks, d)
	fa.disks = append(fa.disks, diskFacts{Disk: d})
}

// TestDecideCarriesWhatWasAskedFor: a plan is carried out with what the request says, and with the defaults where it
// says nothing, whatever order the checks are made in.
func TestDecideCarriesWhatWasAskedFor(t *testing.T) {
	const blackout = 10*time.Second + 600*time.Millisecond // the base, and twice the default downtime
	limit := 3 * DefaultTimeoutSecondsPerGiB * time.Second
	usual := relay.Settings{
		Acknowledge: relay.AcknowledgeWindow, Compression: relay.CompressionNone, ChunkBytes: DefaultChunkKiB << 10,
		Channels: 2, ReconnectMS: DefaultReconnectSeconds * 1000, BlackoutMS: blackout.Milliseconds(),
	}
	settings := func(change func(*relay.Settings)) *relay.Settings {
		s := usual
		change(&s)
		return &s
	}
	plain := Options{Transport: TransportPlain, AllowPlain: true}
	tunnel := Options{Transport: TransportTunnel}
	const downtime = 300 * time.Millisecond
	const tlsFlags = host.FlagTLS | host.FlagParallel
	for name, c := range map[string]struct {
		options Options
		change  func(*facts)
		want    carried
	}{
		"relay by default": {want: carried{Limit: limit, Downtime: downtime, Blackout: blackout, Relay: &usual}},
		"relay with a downtime that may double": {
			options: Options{MaxDowntimeMS: 1000, Convergence: Convergence{DowntimeSteps: 2}},
			want: carried{Limit: limit, Downtime: time.Second, Blackout: 18 * time.Second,
				Relay: settings(func(s *relay.Settings) { s.BlackoutMS = 18000 })},
		},
		"relay with a blackout of its own": {
			options: Options{BlackoutTimeoutMS: 4000},
			want: carried{Limit: limit, Downtime: downtime, Blackout: 4 * time.Second,
				Relay: settings(func(s *relay.Settings) { s.BlackoutMS = 4000 })},
		},
		"relay tuned": {
			options: Options{Acknowledge: AcknowledgeEach, Compression: CompressionZstd, ReconnectSeconds: 7, ChunkKiB: 64,
				ParallelConnections: 4, BandwidthMiBPerSecond: 1},
			want: carried{Flags: host.FlagParallel, Parallel: 4, Limit: 3 * 3072 * time.Second, Downtime: downtime,
				Blackout: blackout, BandwidthMiB: 1, Relay: settings(func(s *relay.Settings) {
					s.Acknowledge, s.Compression, s.ChunkBytes = relay.AcknowledgeEach, relay.CompressionZstd, 64<<10
					s.Channels, s.ReconnectMS = 6, 7000
				})},
		},
		"relay with a disk": {
			options: Options{Storage: StorageCopy}, change: withDisk,
			want: carried{Flags: host.FlagNonSharedDisk, Disks: 1, RelaysDisks: true, Limit: limit / 3 * 5,
				Downtime: downtime, Blackout: blackout, Relay: settings(func(s *relay.Settings) { s.Channels = 3 })},
		},
		"tls by default": {
			options: Options{Transport: TransportTLS},
			want: carried{Flags: tlsFlags, Parallel: 2, TLSName: "b.example", MigrateURI: "tcp://b.example",
				Limit: limit, Downtime: downtime, Blackout: blackout},
		},
		"tls with a blackout of its own": {
			options: Options{Transport: TransportTLS, BlackoutTimeoutMS: 4000, ParallelConnections: 5, MaxDowntimeMS: 50},
			want: carried{Flags: tlsFlags, Parallel: 5, TLSName: "b.example", MigrateURI: "tcp://b.example",
				Limit: limit, Downtime: 50 * time.Millisecond, Blackout: 4 * time.Second},
		},
		"tunnel": {
			options: tunnel,
			want:    carried{Flags: host.FlagTunnelled, Limit: limit, Downtime: downtime, Blackout: blackout},
		},
		"plain": {
			options: plain,
			want:    carried{MigrateURI: "tcp://b.example", Limit: limit, Downtime: downtime, Blackout: blackout},
		},
	} {
		t.Run(name, func(t *testing.T) {
			fa := relayFacts()
			if c.change != nil {
				c.change(&fa)
			}
			p := decide(c.options, fa)
			if err := p.Err(); err != nil {
				t.Fatal(err)
			}
			got := carriedBy(p)
			if !reflect.DeepEqual(got.Relay, c.want.Relay) {
				t.Errorf("relay %+v\nwant  %+v", got.Relay, c.want.Relay)
			}
			got.Relay, c.want.Relay = nil, nil
			if got != c.want {
				t.Errorf("carried %+v\nwant    %+v", got, c.want)
			}
		})
	}
}
