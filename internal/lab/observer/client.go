package observer

import (
	"context"
	"fmt"
	"net"
	"net/rpc"
	"time"
)

// Client asks an observer that runs in another process. Its zero value is useless: set Path to
// the observer's control socket.
type Client struct{ Path string }

// patience bounds every call: the observer only looks things up in memory.
const patience = 10 * time.Second

func (c Client) call(ctx context.Context, method string, question, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.Path)
	if err != nil {
		return fmt.Errorf("the lab's observer does not answer: %w", err)
	}
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	client := rpc.NewClient(conn)
	defer client.Close()
	if err := client.Call("Observer."+method, question, answer); err != nil {
		return fmt.Errorf("ask the lab's observer: %w", err)
	}
	return nil
}

// Watch makes the observer listen for a guest.
func (c Client) Watch(ctx context.Context, guest Guest) error {
	return c.call(ctx, "Watch", guest, &struct{}{})
}

// Forget makes it stop.
func (c Client) Forget(ctx context.Context, name string) error {
	return c.call(ctx, "Forget", name, &struct{}{})
}

// Report tells what is known of a guest; beats and gaps are counted after since.
func (c Client) Report(ctx context.Context, name string, since time.Duration) (Report, error) {
	var answer Report
	err := c.call(ctx, "Report", Question{Name: name, Since: since}, &answer)
	return answer, err
}

// Tell sends the guest a line to obey.
func (c Client) Tell(ctx context.Context, name, line string) error {
	return c.call(ctx, "Tell", Order{Name: name, Line: line}, &struct{}{})
}
