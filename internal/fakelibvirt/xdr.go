package fakelibvirt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"

	libvirt "github.com/digitalocean/go-libvirt"
)

// XDR (RFC 4506) as libvirt's protocol uses it, for go-libvirt's structs of arguments and replies. An optional value
// is a slice of at most one element there, which has the same form.

var paramValue = reflect.TypeFor[libvirt.TypedParamValue]()

// paramTypes are the Go types of a typed parameter's value, by libvirt's number of its type.
var paramTypes = map[uint32]reflect.Type{
	1: reflect.TypeFor[int32](), 2: reflect.TypeFor[uint32](), 3: reflect.TypeFor[int64](), 4: reflect.TypeFor[uint64](),
	5: reflect.TypeFor[float64](), 6: reflect.TypeFor[int32](), 7: reflect.TypeFor[string](),
}

// encode writes v, a struct of go-libvirt's or any part of one.
func encode(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32:
		return binary.BigEndian.AppendUint32(b, uint32(v.Int()))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return binary.BigEndian.AppendUint32(b, uint32(v.Uint()))
	case reflect.Int64:
		return binary.BigEndian.AppendUint64(b, uint64(v.Int()))
	case reflect.Uint64:
		return binary.BigEndian.AppendUint64(b, v.Uint())
	case reflect.Float64:
		return binary.BigEndian.AppendUint64(b, math.Float64bits(v.Float()))
	case reflect.String:
		return opaque(binary.BigEndian.AppendUint32(b, uint32(v.Len())), []byte(v.String()))
	case reflect.Slice:
		b = binary.BigEndian.AppendUint32(b, uint32(v.Len()))
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return opaque(b, v.Bytes())
		}
		for i := range v.Len() {
			b = encode(b, v.Index(i))
		}
		return b
	case reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			for i := range v.Len() {
				b = append(b, byte(v.Index(i).Uint()))
			}
			return append(b, make([]byte, -v.Len()&3)...)
		}
		for i := range v.Len() {
			b = encode(b, v.Index(i))
		}
		return b
	case reflect.Struct:
		for i := range v.NumField() {
			b = encode(b, v.Field(i))
		}
		return b
	case reflect.Interface:
		return encode(b, v.Elem())
	}
	panic("no form in XDR: " + v.Type().String())
}

func opaque(b, data []byte) []byte {
	return append(append(b, data...), make([]byte, -len(data)&3)...)
}

var errShort = errors.New("the arguments end too early")

// decoder reads what encode writes.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.b) {
		if d.err == nil {
			d.err = errShort
		}
		return make([]byte, max(0, min(n, 8)))
	}
	taken := d.b[:n]
	d.b = d.b[n:]
	return taken
}

func (d *decoder) word() uint32 { return binary.BigEndian.Uint32(d.take(4)) }
func (d *decoder) long() uint64 { return binary.BigEndian.Uint64(d.take(8)) }

func (d *decoder) opaque() []byte {
	n := int(d.word())
	data := d.take(n)
	d.take(-n & 3)
	if d.err != nil {
		return nil
	}
	return append([]byte{}, data...)
}

// decode fills v, which can be set.
func (d *decoder) decode(v reflect.Value) {
	switch v.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32:
		v.SetInt(int64(int32(d.word())))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(d.word()))
	case reflect.Int64:
		v.SetInt(int64(d.long()))
	case reflect.Uint64:
		v.SetUint(d.long())
	case reflect.Float64:
		v.SetFloat(math.Float64frombits(d.long()))
	case reflect.String:
		v.SetString(string(d.opaque()))
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(d.opaque())
			return
		}
		for n := d.word(); n > 0 && d.err == nil; n-- {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			d.decode(v.Index(v.Len() - 1))
		}
	case reflect.Array:
		for i, c := range d.take(v.Len()) { // of bytes alone: no arguments have another one
			v.Index(i).SetUint(uint64(c))
		}
	case reflect.Struct:
		if v.Type() == paramValue {
			d.decodeParam(v)
			return
		}
		for i := range v.NumField() {
			d.decode(v.Field(i))
		}
	default:
		d.err = fmt.Errorf("no form in XDR: %s", v.Type())
	}
}

func (d *decoder) decodeParam(v reflect.Value) {
	kind := d.word()
	t, known := paramTypes[kind]
	if !known {
		d.err = fmt.Errorf("a typed parameter of type %d", kind)
		return
	}
	value := reflect.New(t).Elem()
	d.decode(value)
	v.Set(reflect.ValueOf(libvirt.TypedParamValue{D: kind, I: value.Interface()}))
}
