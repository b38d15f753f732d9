package host

import (
	"context"
	"encoding/xml"
	"errors"
	"path"
	"strings"

	libvirt "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"
)

// DiskUsers lists the domains of the host, running or only defined, that name a path as a disk of theirs,
// as an image below one, or as the copy that a job of theirs makes. It knows paths by their names: a
// symbolic link is another path to it. Of a guest that is shut off it knows the images below a disk only
// where a storage pool has them.
func (h *Host) DiskUsers(ctx context.Context, file string) ([]DomainID, error) {
	doms, err := h.Domains(ctx)
	if err != nil {
		return nil, err
	}
	wanted, err := h.place(ctx, file)
	if err != nil {
		return nil, err
	}
	var users []DomainID
	for _, dom := range doms {
		uses, err := h.uses(ctx, dom, wanted)
		if errors.Is(err, ErrNoDomain) {
			continue // gone since it was listed
		}
		if err != nil {
			return nil, err
		}
		if uses {
			users = append(users, dom)
		}
	}
	return users, nil
}

// place is a path and, if a pool has it, the other name of it that a description may use.
type place struct{ path, pool, volume string }

func (h *Host) place(ctx context.Context, file string) (place, error) {
	p := place{path: path.Clean(file)}
	v, err := h.volumeAt(ctx, file)
	switch {
	case err == nil:
		p.pool, p.volume = v.Pool, v.Name
	case Code(err) == 0:
		return p, err
	}
	return p, nil
}

func (p place) is(src *libvirtxml.DomainDiskSource) bool {
	if src == nil {
		return false
	}
	if v := src.Volume; v != nil {
		return p.pool != "" && v.Pool == p.pool && v.Volume == p.volume
	}
	at := readSource(src)
	return at.path != "" && path.Clean(at.path) == p.path
}

// uses looks through the running description and the definition, which may differ.
func (h *Host) uses(ctx context.Context, dom DomainID, wanted place) (bool, error) {
	forms := []libvirt.DomainXMLFlags{0}
	if dom.Active() {
		forms = append(forms, libvirt.DomainXMLInactive)
	}
	for _, flags := range forms {
		text, err := h.describe(ctx, dom.UUID, flags)
		if err != nil {
			return false, err
		}
		devices, _, err := cutDevices(text)
		if err != nil {
			return false, &Error{Host: h.cfg.Name, Call: "read the description of guest " + dom.Name, Err: err}
		}
		for _, dev := range devices {
			if dev.name != "disk" {
				continue
			}
			uses, err := h.diskUses(ctx, dev, wanted)
			if uses || err != nil {
				return uses, err
			}
		}
	}
	return false, nil
}

func (h *Host) diskUses(ctx context.Context, dev device, wanted place) (bool, error) {
	var x libvirtxml.DomainDisk
	if err := x.Unmarshal(dev.text); err != nil {
		return mentions(dev.text, wanted.path), nil // a kind of disk that nobody knew yet
	}
	if wanted.is(x.Source) || x.Mirror != nil && (wanted.is(x.Mirror.Source) || wanted.below(x.Mirror.BackingStore)) || wanted.below(x.BackingStore) {
		return true, nil
	}
	d := readDisk(dev)
	if d.BackingKnown || d.Path == "" {
		return false, nil
	}
	chain, _, err := h.chainBelow(ctx, d.Path)
	for _, image := range chain {
		if image.Local && path.Clean(image.Path) == wanted.path {
			return true, nil
		}
	}
	return false, err
}

func (p place) below(b *libvirtxml.DomainDiskBackingStore) bool {
	for ; b != nil; b = b.BackingStore {
		if p.is(b.Source) {
			return true
		}
	}
	return false
}

// mentions says whether a path stands anywhere in a description.
func mentions(text, wanted string) bool {
	dec := xml.NewDecoder(strings.NewReader(text))
	for {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		switch el := tok.(type) {
		case xml.StartElement:
			for _, a := range el.Attr {
				if path.IsAbs(a.Value) && path.Clean(a.Value) == wanted {
					return true
				}
			}
		case xml.CharData:
			if word := strings.TrimSpace(string(el)); path.IsAbs(word) && path.Clean(word) == wanted {
				return true
			}
		}
	}
}
