package migration

import (
	"context"
	"io"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// daemon is what the engine asks of one libvirt host. *host.Host is the real one; tests put faults
// between the engine and it.
type daemon interface {
	Facts(ctx context.Context) (host.Facts, error)
	// Identity and NextCallbackID tell whether two keys lead to one daemon.
	Identity(ctx context.Context) (host.Identity, error)
	NextCallbackID(ctx context.Context) (int, error)
	Domains(ctx context.Context) ([]host.DomainID, error)
	Lookup(ctx context.Context, uuid string) (host.DomainID, error)
	State(ctx context.Context, uuid string) (host.State, error)
	Domain(ctx context.Context, uuid string) (host.Domain, error)
	Persistent(ctx context.Context, uuid string) (bool, error)
	XML(ctx context.Context, uuid string, inactive bool) (string, error)
	// Metadata and SetMetadata are for the records of moves, the next three for a mark of the host's running system.
	Metadata(ctx context.Context, uuid, namespace string, form host.Form) (string, error)
	SetMetadata(ctx context.Context, uuid, prefix, namespace, text string, forms ...host.Form) error
	BootMark(ctx context.Context, name string) (string, error)
	SameBoot(ctx context.Context, mark string) (bool, error)
	DropBootMark(ctx context.Context, mark string) error
	Job(ctx context.Context, uuid string) (host.Job, error)
	CompletedJob(ctx context.Context, uuid string) (host.Job, error)
	CPU(ctx context.Context) (host.CPUTimes, error)
	Abort(ctx context.Context, uuid string) error
	EndCancel(ctx context.Context, uuid string) error
	Resume(ctx context.Context, uuid string) error
	Suspend(ctx context.Context, uuid string) error
	StartPostCopy(ctx context.Context, uuid string) error
	Destroy(ctx context.Context, uuid string) error
	CreatePaused(ctx context.Context, xml string) error
	Define(ctx context.Context, xml string) error
	Undefine(ctx context.Context, uuid string) error
	SetAutostart(ctx context.Context, uuid string, on bool) error
	MaxDowntime(ctx context.Context, uuid string) (time.Duration, error)
	SetMaxDowntime(ctx context.Context, uuid string, d time.Duration) error
	// Files opens the host's public files; an error where the connection gives no login.
	Files(ctx context.Context) (publicFiles, error)
	// Vantage opens a place on the host to reach servers from; an error where the connection gives no login.
	Vantage(ctx context.Context) (vantage, error)
	// NetworkForward says how one of the daemon's virtual networks leads out of its host.
	NetworkForward(ctx context.Context, name string) (string, error)
	// Offer and the next four say what the host has for a guest that is to come.
	Offer(ctx context.Context, d host.Domain) (host.Offer, error)
	Networks(ctx context.Context) (map[string]bool, error)
	Link(ctx context.Context, name string) (host.Answer, error)
	AvailableMemory(ctx context.Context) (uint64, error)
	FreeHugePages(ctx context.Context) ([]host.HugePages, error)
	Arriving(ctx context.Context) ([]host.DomainID, error)
	Moving(ctx context.Context) (leaving, arriving int, err error)
	Pools(ctx context.Context) ([]host.Pool, error)
	Volume(ctx context.Context, path string) (host.Volume, error)
	DiskUsers(ctx context.Context, path string) ([]host.DomainID, error)
	Folder(ctx context.Context, dir string, create bool) (folder, error)
	// CanRun says why no program of ours can be run on the host; nil where nothing speaks against it.
	CanRun(ctx context.Context) error
	Run(ctx context.Context, p host.Program) (io.ReadWriteCloser, error)
	PrivateFolder(ctx context.Context, dir string, owner, group int) (privateFolder, error)
	DaemonSockets() []string
	SweepFolders(ctx context.Context) ([]string, error)
	Session(ctx context.Context) (session, error)
	Close() error
}

// folder is a directory of a host whose images can be looked at, made and deleted.
type folder interface {
	Volume(ctx context.Context, name string) (host.Volume, error)
	Create(ctx context.Context, v host.Volume) error
	Delete(ctx context.Context, name string) error
	Close(ctx context.Context) error
}

// session is one migration's own connection to a daemon. libvirt undoes the unfinished migration when
// it closes.
type session interface {
	Events() <-chan host.Event
	Lost() <-chan struct{}
	// Whole says that no event was missed so far.
	Whole() bool
	Begin(ctx context.Context, dom host.DomainID, p host.Params, f host.Flags) (cookie []byte, xml string, err error)
	Prepare(ctx context.Context, p host.Params, cookie []byte, f host.Flags) (cookieOut []byte, uri string, err error)
	Perform(ctx context.Context, dom host.DomainID, p host.Params, cookie []byte, f host.Flags) (cookieOut []byte, err error)
	PerformPeerToPeer(ctx context.Context, dom host.DomainID, peerURI string, p host.Params, f host.Flags) error
	Finish(ctx context.Context, p host.Params, cookie []byte, f host.Flags, cancelled bool) (dom host.DomainID, cookieOut []byte, err error)
	Confirm(ctx context.Context, dom host.DomainID, p host.Params, cookie []byte, f host.Flags, cancelled bool) error
	Close() error
}

// vantage is a place on a host from which servers are reached as its QEMU reaches them.
type vantage interface {
	Reach(ctx context.Context, addresses []string) host.Answer
	Close() error
}

// realDaemon narrows a *host.Host to the interface.
type realDaemon struct{ *host.Host }

func (r realDaemon) Session(ctx context.Context) (session, error) {
	s, err := r.Host.Session(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (r realDaemon) Files(ctx context.Context) (publicFiles, error) {
	f, err := r.Host.Files(ctx)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (r realDaemon) Vantage(ctx context.Context) (vantage, error) {
	v, err := r.Host.Vantage(ctx)
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (r realDaemon) Folder(ctx context.Context, dir string, create bool) (folder, error) {
	f, err := r.Host.Folder(ctx, dir, create)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (r realDaemon) Run(ctx context.Context, p host.Program) (io.ReadWriteCloser, error) {
	process, err := r.Host.Run(ctx, p)
	if err != nil {
		return nil, err
	}
	return process, nil
}

func (r realDaemon) PrivateFolder(ctx context.Context, dir string, owner, group int) (privateFolder, error) {
	f, err := r.Host.PrivateFolder(ctx, dir, owner, group)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func dialReal(ctx context.Context, cfg host.Config) (daemon, error) {
	h, err := host.Dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return realDaemon{h}, nil
}
