package host

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// theirs is what go-libvirt's source says of one of its calls: how it is called on the wire, and what it reads of the
// reply, in the words of [layout].
type theirs struct {
	call   asked
	layout layout
}

// goLibvirt reads the calls that go-libvirt generates from libvirt's protocol, and the names of those that it has
// besides.
func goLibvirt(t testing.TB) (calls map[string]theirs, others map[string]bool) {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/digitalocean/go-libvirt").Output()
	if err != nil {
		t.Fatal(err)
	}
	types, methods := map[string]ast.Expr{}, map[string]*ast.FuncDecl{}
	others = map[string]bool{}
	for _, name := range []string{"remote_protocol.gen.go", "qemu_protocol.gen.go", "const.gen.go", "libvirt.go"} {
		for _, d := range parseFile(t, filepath.Join(strings.TrimSpace(string(dir)), name)).Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok {
						types[s.Name.Name] = s.Type
					}
				}
			case *ast.FuncDecl:
				switch {
				case d.Recv == nil || !ast.IsExported(d.Name.Name):
				case name == "libvirt.go":
					others[d.Name.Name] = true
				default:
					methods[d.Name.Name] = d
				}
			}
		}
	}
	calls = map[string]theirs{}
	for name, m := range methods {
		if call, ok := requested(m); ok {
			calls[name] = theirs{call, readBy(types, m)}
		}
	}
	return calls, others
}

func parseFile(t testing.TB, path string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// requested finds the procedure's number in the call's body.
func requested(m *ast.FuncDecl) (call asked, found bool) {
	ast.Inspect(m, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok || len(c.Args) < 2 {
			return true
		}
		f, isMethod := c.Fun.(*ast.SelectorExpr)
		number, isNumber := c.Args[0].(*ast.BasicLit)
		program, isConstant := c.Args[1].(*ast.SelectorExpr)
		if !isMethod || !isNumber || !isConstant || f.Sel.Name != "requestStream" {
			return true
		}
		n64, err := strconv.ParseUint(number.Value, 10, 32)
		call = asked{map[string]uint32{"Program": programRemote, "QEMUProgram": programQEMU}[program.Sel.Name], uint32(n64)}
		found = err == nil && call.program != 0
		return false
	})
	return call, found
}

// readBy is the layout of a call's results but its error.
func readBy(types map[string]ast.Expr, m *ast.FuncDecl) (l layout) {
	for _, r := range m.Type.Results.List {
		if id, ok := r.Type.(*ast.Ident); ok && id.Name == "error" {
			continue
		}
		for range max(1, len(r.Names)) {
			l += written(types, r.Type)
		}
	}
	return l
}

func written(types map[string]ast.Expr, e ast.Expr) layout {
	switch e := e.(type) {
	case *ast.Ident:
		switch e.Name {
		case "int8", "uint8", "byte", "int16", "uint16", "int32", "uint32", "int", "uint", "bool":
			return "i"
		case "int64", "uint64", "float64":
			return "h"
		case "string":
			return "s"
		case "TypedParam":
			return "p"
		case "UUID":
			return "u"
		}
		inner := written(types, types[e.Name])
		if strings.HasPrefix(e.Name, "Opt") && strings.HasPrefix(string(inner), "(") { // XDR's optional value
			return "[" + inner[1:len(inner)-1] + "]"
		}
		return inner
	case *ast.ArrayType:
		of := written(types, e.Elt)
		if e.Len == nil {
			if id, ok := e.Elt.(*ast.Ident); ok && id.Name == "byte" {
				return "s" // opaque
			}
			return "(" + of + ")"
		}
		n, err := strconv.Atoi(e.Len.(*ast.BasicLit).Value)
		if err != nil {
			panic(err)
		}
		return layout(strings.Repeat(string(of), n))
	case *ast.StructType:
		var l layout
		for _, f := range e.Fields.List {
			for range max(1, len(f.Names)) {
				l += written(types, f.Type)
			}
		}
		return l
	}
	panic(fmt.Sprintf("a type that no reply had so far: %T", e))
}

// made are the names of go-libvirt's calls that this package makes, and of those that a connection begins with.
func made(t testing.TB, calls map[string]theirs, others map[string]bool) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no source: ", err)
	}
	names := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		ast.Inspect(parseFile(t, file), func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, _ := s.X.(*ast.Ident)
			_, call := calls[s.Sel.Name]
			switch {
			case x != nil && x.Name == "libvirt": // the package's types and numbers
			case call:
				names[s.Sel.Name] = true
			case others[s.Sel.Name] && x != nil && x.Name == "l" && s.Sel.Name != "ConnectToURI":
				t.Errorf("%s calls go-libvirt's %s, of which it is not known what it sends", file, s.Sel.Name)
			}
			return true
		})
	}
	for _, name := range []string{"AuthList", "AuthPolkit", "ConnectOpen"} { // by ConnectToURI
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// TestEveryReplyHasItsLayout compares the list with go-libvirt's source: whatever is called has its layout, and each
// layout is what go-libvirt reads.
func TestEveryReplyHasItsLayout(t *testing.T) {
	calls, others := goLibvirt(t)
	for _, name := range made(t, calls, others) {
		if _, known := replies[calls[name].call]; !known {
			t.Errorf("no layout for replies to %s: %+v is %q", name, calls[name].call, calls[name].layout)
		}
	}
	read := map[asked]layout{}
	for _, c := range calls {
		read[c.call] = c.layout
	}
	for call, l := range replies {
		if l != read[call] {
			t.Errorf("the layout of %+v is %q, and go-libvirt reads %q", call, l, read[call])
		}
	}
}
