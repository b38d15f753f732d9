package lab

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// cacheDir keeps what every lab of this machine shares and nobody wants to fetch twice: the
// guests' kernel, the image they boot, and the programs built from this module.
const cacheDir = "/var/cache/virtmigrate-lab"

// guestModules are the drivers a guest may need; what they depend on comes with them.
var guestModules = []string{"virtio_pci", "virtio_blk", "virtio_net", "virtio_console"}

// bootFiles are what a guest boots.
type bootFiles struct {
	kernel   string // path of vmlinuz
	image    string // path of the initial RAM file system
	emulator string // path of the program that runs QEMU (folder qemu says why there is one)
}

// fetchKernel downloads Debian's cloud kernel into the cache, unless it is there, and unpacks
// it. The package is never installed: the machine's own kernel is none of our business.
func fetchKernel(ctx context.Context, log Logger) (vmlinuz, modules string, err error) {
	root := filepath.Join(cacheDir, "kernel")
	found := func() bool {
		kernels, _ := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
		trees, _ := filepath.Glob(filepath.Join(root, "lib", "modules", "*"))
		if len(kernels) == 0 || len(trees) == 0 {
			return false
		}
		vmlinuz, modules = kernels[0], trees[0]
		return true
	}
	if found() {
		return vmlinuz, modules, nil
	}
	name, err := kernelPackage(ctx)
	if err != nil {
		return "", "", err
	}
	log.Info("downloading the guests' kernel from Debian", "package", name, "to", root)
	fresh, err := os.MkdirTemp(cacheDir, "kernel-")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(fresh)
	download := exec.CommandContext(ctx, "apt-get", "-q", "download", name)
	download.Dir = fresh
	if _, err := output(download); err != nil {
		return "", "", fmt.Errorf("download the guests' kernel (try apt-get update): %w", err)
	}
	debs, _ := filepath.Glob(filepath.Join(fresh, "*.deb"))
	if len(debs) != 1 {
		return "", "", fmt.Errorf("apt-get download of %s left %d packages", name, len(debs))
	}
	unpacked := filepath.Join(fresh, "kernel")
	if _, err := run(ctx, "dpkg-deb", "-x", debs[0], unpacked); err != nil {
		return "", "", fmt.Errorf("unpack %s: %w", name, err)
	}
	if err := os.Rename(unpacked, root); err != nil && !found() {
		return "", "", err
	}
	if !found() {
		return "", "", fmt.Errorf("package %s has no kernel inside", name)
	}
	return vmlinuz, modules, nil
}

// kernelPackage names the package with the newest cloud kernel.
func kernelPackage(ctx context.Context) (string, error) {
	const meta = "linux-image-cloud-amd64"
	text, err := run(ctx, "apt-cache", "depends", meta)
	if err != nil {
		return "", fmt.Errorf("find the guests' kernel: %w", err)
	}
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok && strings.HasPrefix(name, "linux-image-") {
			return name, nil
		}
	}
	return "", fmt.Errorf("apt knows no package %s: run apt-get update, or check that its sources name Debian's main archive", meta)
}

// prepareBoot builds the guests' image out of the kernel's modules and the guest program. An
// image that is already there for the same program and kernel is used again.
func prepareBoot(ctx context.Context, log Logger) (bootFiles, error) {
	vmlinuz, modules, err := fetchKernel(ctx, log)
	if err != nil {
		return bootFiles{}, err
	}
	program, err := buildProgram(ctx, "guest")
	if err != nil {
		return bootFiles{}, err
	}
	files := bootFiles{kernel: vmlinuz, image: filepath.Join(cacheDir, "guest.img")}
	if newer(files.image, program) && newer(files.image, vmlinuz) {
		return files, nil
	}
	init, err := os.ReadFile(program)
	if err != nil {
		return bootFiles{}, err
	}
	var archive cpio
	for _, dir := range []string{"dev", "proc", "sys", "modules"} {
		archive.dir(dir)
	}
	archive.device("dev/console", 5, 1)
	archive.file("init", 0o755, init)
	order, err := moduleOrder(modules, guestModules)
	if err != nil {
		return bootFiles{}, err
	}
	var names []string
	for _, path := range order {
		content, err := os.ReadFile(path)
		if err != nil {
			return bootFiles{}, err
		}
		archive.file("modules/"+filepath.Base(path), 0o644, content)
		names = append(names, filepath.Base(path))
	}
	archive.file("modules/order", 0o644, []byte(strings.Join(names, "\n")))
	return files, writeWhole(files.image, archive.bytes(), 0o644)
}

// moduleOrder returns the files of the wanted modules and of all they depend on, in an order in
// which each can be loaded.
func moduleOrder(tree string, wanted []string) ([]string, error) {
	byName := map[string]string{}
	err := filepath.WalkDir(filepath.Join(tree, "kernel"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".ko") {
			byName[strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".ko"), "-", "_")] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var order []string
	var add func(name string) error
	add = func(name string) error {
		path, ok := byName[name]
		if !ok || slices.Contains(order, path) {
			return nil // a driver that is built in has no file
		}
		needs, err := moduleNeeds(path)
		if err != nil {
			return err
		}
		for _, need := range needs {
			if err := add(need); err != nil {
				return err
			}
		}
		order = append(order, path)
		return nil
	}
	for _, name := range wanted {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// moduleNeeds reads a module's own list of the modules it depends on.
func moduleNeeds(path string) ([]string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", path, err)
	}
	defer file.Close()
	section := file.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("module %s: no .modinfo", path)
	}
	info, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", path, err)
	}
	for entry := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := bytes.CutPrefix(entry, []byte("depends=")); ok && len(list) > 0 {
			return strings.Split(strings.ReplaceAll(string(list), "-", "_"), ","), nil
		}
	}
	return nil, nil
}

// buildProgram builds one of this package's programs (a folder below it) into the cache. The
// go command decides by itself whether anything has to be done.
func buildProgram(ctx context.Context, name string) (string, error) {
	path := filepath.Join(cacheDir, "virtmigrate-lab-"+name)
	release, err := lockFile(filepath.Join(cacheDir, "build.lock"))
	if err != nil {
		return "", err
	}
	defer release()
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if _, err := output(build); err != nil {
		return "", fmt.Errorf("build the lab's %s program (run this inside the module's checkout): %w", name, err)
	}
	return path, nil
}

func newer(than, source string) bool {
	a, errA := os.Stat(than)
	b, errB := os.Stat(source)
	return errors.Join(errA, errB) == nil && a.ModTime().After(b.ModTime())
}
