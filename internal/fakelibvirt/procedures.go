package fakelibvirt

import (
	"reflect"

	libvirt "github.com/digitalocean/go-libvirt"
)

type key struct{ program, number uint32 }

// procedure is one call of libvirt's. do is called with the world's lock.
type procedure struct {
	name    string
	changes bool
	do      func(c *client, payload []byte) ([]byte, error)
}

type none struct{}

// question is a procedure that changes nothing, order one that does.
func question[A, R any](name string, do func(c *client, args A) (R, error)) procedure {
	return procedure{name: name, do: func(c *client, payload []byte) ([]byte, error) {
		var args A
		d := &decoder{b: payload}
		d.decode(reflect.ValueOf(&args).Elem())
		if d.err != nil {
			return nil, fail(libvirt.ErrRPC, "Unable to decode message payload: %v", d.err)
		}
		ret, err := do(c, args)
		if err != nil {
			return nil, err
		}
		return encode(nil, reflect.ValueOf(ret)), nil
	}}
}

func order[A, R any](name string, do func(c *client, args A) (R, error)) procedure {
	p := question(name, do)
	p.changes = true
	return p
}

// procedures are all that the fake answers, by libvirt's numbers.
var procedures map[key]procedure

func init() {
	procedures = map[key]procedure{}
	for _, table := range []map[uint32]procedure{connectProcedures, domainProcedures, poolProcedures, migrateProcedures} {
		for number, p := range table {
			procedures[key{programRemote, number}] = p
		}
	}
	procedures[key{programQEMU, 1}] = question("monitor command", monitor)
}

// monitor knows no command: nothing ever waits there.
func monitor(c *client, a libvirt.QEMUDomainMonitorCommandArgs) (libvirt.QEMUDomainMonitorCommandRet, error) {
	if _, err := c.daemon.active(a.Dom); err != nil {
		return libvirt.QEMUDomainMonitorCommandRet{}, err
	}
	return libvirt.QEMUDomainMonitorCommandRet{Result: `{"id":"libvirt-1","error":{"class":"GenericError","desc":"Migration not in expected state"}}`}, nil
}
