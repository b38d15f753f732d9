package relay

import (
	"bytes"
	"encoding/json"
	"testing"
)

func FuzzHeader(f *testing.F) {
	for _, h := range []header{{kind: frameHello, length: positionBytes}, {kind: frameData, length: 5, number: 1 << 40, flags: flagCompressed}, {kind: frameAck, number: 7}, {kind: frameFail, length: maxText}} {
		var b [headerBytes]byte
		h.put(b[:])
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerBytes {
			return
		}
		h, err := parseHeader(b, DefaultChunkBytes)
		if err != nil {
			return
		}
		if h.length < 0 || h.length > MaxChunkBytes {
			t.Fatalf("length %d", h.length)
		}
		var again [headerBytes]byte
		h.put(again[:])
		if !bytes.Equal(again[:], b[:headerBytes]) {
			t.Fatalf("%x was read as %+v, which is %x", b[:headerBytes], h, again)
		}
	})
}

func FuzzPosition(f *testing.F) {
	for _, p := range []position{{purpose: purposeOpen, kind: Memory, channel: 1}, {purpose: purposeResume, kind: Disks, channel: 1 << 31, received: 9, written: 9}} {
		var b [positionBytes]byte
		p.put(b[:])
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePosition(b)
		if err != nil {
			return
		}
		var again [positionBytes]byte
		p.put(again[:])
		if !bytes.Equal(again[:], b) {
			t.Fatalf("%x was read as %+v, which is %x", b, p, again)
		}
	})
}

// FuzzControl: whoever sits at the control channel can do what its login can, but a garbled line must not
// crash anything.
func FuzzControl(f *testing.F) {
	text, _ := json.Marshal(command{Command: commandSettings, Settings: &Settings{Role: Source, Directory: NewDirectory(), Make: true, Sockets: map[string]string{"memory": "m"},
		Acknowledge: AcknowledgeEach, Compression: CompressionZstd, ChunkBytes: DefaultChunkBytes, Channels: 2}})
	f.Add(text)
	f.Add([]byte(`{"event":"ready","port":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = parseEvent(b)
		c, err := parseCommand(b)
		if err != nil || c.Settings == nil || c.Settings.check() != nil {
			return
		}
		if n := c.Settings.windowChunks(); n < 1 || n*c.Settings.ChunkBytes > mostWindow && n > 1 {
			t.Fatalf("a window of %d chunks", n)
		}
	})
}

// FuzzChunk: a compressed chunk is as large as it may be, or refused.
func FuzzChunk(f *testing.F) {
	r, err := newRelay(Settings{Role: Destination, Acknowledge: AcknowledgeWindow, Compression: CompressionZstd, ChunkBytes: MinChunkBytes, Channels: 1}, func(event) {})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(r.encoder.EncodeAll(make([]byte, MinChunkBytes), nil))
	f.Add(r.encoder.EncodeAll(make([]byte, 100*MinChunkBytes), nil)) // small, and too large
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > MinChunkBytes {
			return
		}
		c := r.chunks.get()
		c.frame = append(c.frame[:headerBytes], b...)
		c.flags = flagCompressed
		if payload, err := r.unpress(c); err == nil && (len(payload) == 0 || len(payload) > MinChunkBytes) {
			t.Fatalf("a chunk of %d bytes", len(payload))
		}
		r.chunks.put(c)
	})
}
