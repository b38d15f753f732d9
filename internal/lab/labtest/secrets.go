package labtest

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Secrets are texts that must turn up nowhere, by what they are.
type Secrets map[string]string

// needle is a secret as it is, and in the clothes that logs put on it.
type needle struct {
	name  string
	forms [][]byte
}

func (s Secrets) needles() []needle {
	var all []needle
	for _, name := range slices.Sorted(maps.Keys(s)) {
		forms := [][]byte{[]byte(s[name]), []byte(hex.EncodeToString([]byte(s[name])))}
		for shift := range 3 { // base64 of a text in the midst of another
			whole := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), s[name]...))
			forms = append(forms, []byte(whole[4:len(whole)-4]))
		}
		all = append(all, needle{name, forms})
	}
	return all
}

// In names the secrets that a text has.
func (s Secrets) In(text []byte) []string { return search(s.needles(), text) }

func search(needles []needle, text []byte) (found []string) {
	for _, n := range needles {
		if slices.ContainsFunc(n.forms, func(form []byte) bool { return bytes.Contains(text, form) }) {
			found = append(found, n.name)
		}
	}
	return found
}

// InFiles lists the files below the folders that have a secret, those in archives too, and how many it read.
func (s Secrets) InFiles(t testing.TB, folders ...string) (found []string, read int) {
	t.Helper()
	look := func(path string, text []byte) {
		read++
		for _, name := range s.In(text) {
			found = append(found, path+" has "+name)
		}
	}
	const most = 64 << 20
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // it has gone meanwhile, or is none that holds anything
			}
			if info, err := d.Info(); err != nil || info.Size() > most {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil
			}
			look(path, text)
			archive, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
			if err != nil {
				return nil
			}
			for _, file := range archive.File {
				in, err := file.Open()
				if err != nil {
					return fmt.Errorf("%s in %s: %w", file.Name, path, err)
				}
				inner, err := io.ReadAll(in)
				if err := in.Close(); err != nil {
					return err
				}
				if err != nil {
					return fmt.Errorf("%s in %s: %w", file.Name, path, err)
				}
				look(path+":"+file.Name, inner)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found, read
}
