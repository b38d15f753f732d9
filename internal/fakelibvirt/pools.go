package fakelibvirt

import (
	libvirt "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"
)

// poolProcedures are about storage pools: what a boot mark needs of them. A transient pool outlives the daemon and not
// the host's boot.
var poolProcedures = map[uint32]procedure{
	76: order("create pool",
		func(c *client, a libvirt.StoragePoolCreateXMLArgs) (r libvirt.StoragePoolCreateXMLRet, err error) {
			p, err := c.daemon.makePool(a.XML)
			if err == nil {
				p.active = true
				r.Pool = p.wire()
			}
			return r, err
		}),
	77: order("define pool",
		func(c *client, a libvirt.StoragePoolDefineXMLArgs) (r libvirt.StoragePoolDefineXMLRet, err error) {
			p, err := c.daemon.makePool(a.XML)
			if err == nil {
				p.defined = true
				r.Pool = p.wire()
			}
			return r, err
		}),
	79: order("build pool", func(c *client, a libvirt.StoragePoolBuildArgs) (none, error) {
		_, err := c.daemon.findPool(a.Pool.Name)
		return none{}, err
	}),
	80: order("destroy pool", func(c *client, a libvirt.StoragePoolDestroyArgs) (none, error) {
		p, err := c.daemon.findPool(a.Pool.Name)
		if err == nil && !p.active {
			err = invalid("storage pool '%s' is not active", p.name)
		}
		if err == nil {
			p.active = false
			c.daemon.dropPoolIfEmpty(p)
		}
		return none{}, err
	}),
	81: order("delete pool", func(c *client, a libvirt.StoragePoolDeleteArgs) (none, error) {
		p, err := c.daemon.findPool(a.Pool.Name)
		if err == nil && p.active {
			err = invalid("storage pool '%s' is still active", p.name)
		}
		return none{}, err
	}),
	82: order("undefine pool", func(c *client, a libvirt.StoragePoolUndefineArgs) (none, error) {
		p, err := c.daemon.findPool(a.Pool.Name)
		if err == nil && p.active {
			err = invalid("storage pool '%s' is still active", p.name)
		}
		if err == nil {
			p.defined = false
			c.daemon.dropPoolIfEmpty(p)
		}
		return none{}, err
	}),
	84: question("look up pool",
		func(c *client, a libvirt.StoragePoolLookupByNameArgs) (r libvirt.StoragePoolLookupByNameRet, err error) {
			p, err := c.daemon.findPool(a.Name)
			if err == nil {
				r.Pool = p.wire()
			}
			return r, err
		}),
	154: question("pool active",
		func(c *client, a libvirt.StoragePoolIsActiveArgs) (r libvirt.StoragePoolIsActiveRet, err error) {
			p, err := c.daemon.findPool(a.Pool.Name)
			if err == nil && p.active {
				r.Active = 1
			}
			return r, err
		}),
}

func (p *pool) wire() libvirt.StoragePool { return libvirt.StoragePool{Name: p.name} }

func (d *Daemon) makePool(text string) (*pool, error) {
	var x libvirtxml.StoragePool
	if err := x.Unmarshal(text); err != nil {
		return nil, fail(libvirt.ErrXMLError, "XML error: %v", err)
	}
	if d.pools[x.Name] != nil {
		return nil, failed("pool '%s' already exists", x.Name)
	}
	d.pools[x.Name] = &pool{name: x.Name, text: text}
	return d.pools[x.Name], nil
}

func (d *Daemon) findPool(name string) (*pool, error) {
	if p := d.pools[name]; p != nil {
		return p, nil
	}
	return nil, fail(libvirt.ErrNoStoragePool, "Storage pool not found: no storage pool with matching name '%s'", name)
}

func (d *Daemon) dropPoolIfEmpty(p *pool) {
	if !p.active && !p.defined {
		delete(d.pools, p.name)
	}
}
