package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// supervise is the shell program that stands between this process and the server. It holds the other end of a pipe;
// when the pipe closes - on purpose, or because this process was killed with kill -9 - it asks for a fast shutdown.
// Linux could signal the server at the death of its parent, but ties that to the thread that started it, and other
// systems have nothing of the kind; a pipe works everywhere. $1 is the temporary directory to remove, or empty.
const supervise = `
dir=$1; shift
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
(cat <&3; kill -INT "$server") >/dev/null 2>&1 &
watch=$!
wait "$server"; status=$?
kill "$watch" 2>/dev/null
[ -z "$dir" ] || rm -rf -- "$dir"
exit "$status"
`

const (
	fastShutdownLimit      = 30 * time.Second // a fast shutdown writes a checkpoint, which can take a while
	immediateShutdownLimit = 10 * time.Second
)

// process is a running server together with its supervisor.
type process struct {
	pipe io.Closer
	done chan struct{} // closed when both have ended
	err  error         // valid after done
	quit func() error  // asks for an immediate shutdown
	log  *os.File
	once sync.Once
}

// launch starts the server of a cluster. The context does not end it: stop does.
func launch(c cluster, settings []string) (*process, error) {
	log, err := c.open(logName, os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	removeAfter := ""
	if c.temporary {
		removeAfter = c.root
	}
	args := append([]string{"-c", supervise, "sh", removeAfter, c.programs.program("postgres"), "-D", c.path(dataName)}, settings...)
	cmd := c.run.command(context.Background(), "/bin/sh", args...)
	cmd.Stdout, cmd.Stderr = log, log
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the PostgreSQL server: %w", err), log.Close())
	}
	p := &process{pipe: pipe, done: make(chan struct{}), log: log}
	p.quit = func() error { return c.signalServer(syscall.SIGQUIT) }
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop asks for a fast shutdown and waits; a server that does not obey is told to drop everything, which costs it a
// recovery at the next start but no committed data.
func (p *process) stop() error {
	p.once.Do(func() {
		defer p.log.Close()
		p.pipe.Close()
		if p.endsWithin(fastShutdownLimit) {
			return
		}
		if err := p.quit(); err == nil && p.endsWithin(immediateShutdownLimit) {
			return
		}
	})
	select {
	case <-p.done:
		return nil
	default:
		return errors.New("the PostgreSQL server does not stop; see its processes and end them by hand")
	}
}

func (p *process) endsWithin(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

// lastWords returns the end of the server's log. The open file is read, as the directory may be gone by now.
func (p *process) lastWords() string {
	const most = 2000
	info, err := p.log.Stat()
	if err != nil {
		return ""
	}
	buffer := make([]byte, min(info.Size(), most))
	n, _ := p.log.ReadAt(buffer, info.Size()-int64(len(buffer)))
	return strings.TrimSpace(string(buffer[:n]))
}
