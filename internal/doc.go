// Package internal is the house: each folder in it is one room.
//
//	migration  the engine: decides how a guest moves, moves it, and says what that cost
//	host       one libvirt host: its connections, questions and calls as typed Go
//	lab        two real libvirt hosts on one machine, for tests and the demo; in no shipped binary
//	tools      the versions of the build's own tools
//
// The two faces, provider and ansible_module, build on migration; migration builds on host; nothing
// builds on a face. A test in this folder holds that.
package internal
