// Modproxy lays modules of this checkout out as a file GOPROXY, so that CI can fetch them as a user would.
//
//	modproxy -out DIR -version v0.0.0-ci MODULEDIR...
//
// It packs what git knows of each module (committed or about to be), and does to go.mod what a release does: siblings
// are required at that version, and replace lines go away.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

func main() {
	out := flag.String("out", "", "directory of the proxy")
	version := flag.String("version", "v0.0.0-ci", "version to publish")
	flag.Parse()
	if err := run(*out, *version, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "modproxy:", err)
		os.Exit(1)
	}
}

func run(out, version string, dirs []string) error {
	if out == "" || len(dirs) == 0 {
		return errors.New("usage: modproxy -out DIR [-version V] MODULEDIR [MODULEDIR]")
	}
	mods := make(map[string]*modfile.File, len(dirs)) // by directory
	siblings := make(map[string]bool, len(dirs))      // by module path
	for _, dir := range dirs {
		name := filepath.Join(dir, "go.mod")
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := modfile.Parse(name, data, nil)
		if err != nil {
			return err
		}
		mods[dir], siblings[f.Module.Mod.Path] = f, true
	}
	for dir, f := range mods {
		if err := publish(out, version, dir, f, siblings); err != nil {
			return fmt.Errorf("%s: %w", f.Module.Mod.Path, err)
		}
	}
	return nil
}

func publish(out, version, dir string, f *modfile.File, siblings map[string]bool) error {
	for _, r := range f.Replace {
		if err := f.DropReplace(r.Old.Path, r.Old.Version); err != nil {
			return err
		}
	}
	for _, r := range f.Require {
		if siblings[r.Mod.Path] {
			if err := f.AddRequire(r.Mod.Path, version); err != nil {
				return err
			}
		}
	}
	f.Cleanup()
	gomod, err := f.Format()
	if err != nil {
		return err
	}
	files, err := list(dir, gomod)
	if err != nil {
		return err
	}
	m := module.Version{Path: f.Module.Mod.Path, Version: version}
	var packed bytes.Buffer
	if err := zip.Create(&packed, m, files); err != nil { // leaves nested modules out
		return err
	}
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return err
	}
	at := filepath.Join(out, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	info := fmt.Sprintf(`{"Version":%q,"Time":%q}`, version, time.Now().UTC().Format(time.RFC3339))
	for name, data := range map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".info": []byte(info),
		version + ".mod":  gomod,
		version + ".zip":  packed.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(at, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func list(dir string, gomod []byte) ([]zip.File, error) {
	cmd := exec.CommandContext(context.Background(), "git", "-C", dir, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Stderr = os.Stderr
	names, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var files []zip.File
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		if name == "go.mod" {
			files = append(files, file{name: name, data: gomod})
			continue
		}
		full := filepath.Join(dir, filepath.FromSlash(name))
		if s, err := os.Lstat(full); err != nil || !s.Mode().IsRegular() {
			continue // deleted but not committed, or a link: neither is published
		}
		files = append(files, file{name: path.Clean(name), full: full})
	}
	return files, nil
}

// file is a zip.File: on disk, or, where data is set, in memory.
type file struct {
	name, full string
	data       []byte
}

func (f file) Path() string { return f.name }

func (f file) Lstat() (os.FileInfo, error) {
	if f.data == nil {
		return os.Lstat(f.full)
	}
	return inMemory{f}, nil
}

func (f file) Open() (io.ReadCloser, error) {
	if f.data == nil {
		return os.Open(f.full)
	}
	return io.NopCloser(bytes.NewReader(f.data)), nil
}

type inMemory struct{ file }

func (f inMemory) Name() string       { return path.Base(f.name) }
func (f inMemory) Size() int64        { return int64(len(f.data)) }
func (f inMemory) Mode() os.FileMode  { return 0o644 }
func (f inMemory) ModTime() time.Time { return time.Time{} }
func (f inMemory) IsDir() bool        { return false }
func (f inMemory) Sys() any           { return nil }
