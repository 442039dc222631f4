package lab

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Cmd is an exec.Cmd that runs in a namespace of the lab. It dies with this
// process and with the lab, whichever ends first; a program that changes its
// user, group or capabilities loses the first of these (prctl(2),
// PR_SET_PDEATHSIG).
//
// Unlike with exec.Cmd, the process is waited for as soon as it is started, so
// none is left a zombie; Wait may be called often, late or never.
type Cmd struct {
	*exec.Cmd
	thread *thread
	pipes  []io.Closer // the child's ends, to be closed once it has them
	done   chan struct{}
	err    error // of exec.Cmd.Wait; read after done
}

// daemon returns a command that lives until it is killed or its thread is closed.
func (t *thread) daemon(name string, args ...string) *Cmd {
	return t.command(context.Background(), name, args...)
}

func (t *thread) command(ctx context.Context, name string, args ...string) *Cmd {
	c := &Cmd{
		Cmd:    exec.CommandContext(ctx, name, args...),
		thread: t,
		done:   make(chan struct{}),
	}
	// A group of its own: Ctrl-C is for the owner, who ends the lab in order.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	c.Cancel = c.kill
	c.WaitDelay = time.Second
	return c
}

// Start starts the command and returns at once.
func (c *Cmd) Start() error {
	defer func() {
		for _, p := range c.pipes {
			_ = p.Close()
		}
	}()
	err := c.thread.run(func() error {
		c.thread.mu.Lock()
		defer c.thread.mu.Unlock()
		if c.thread.closed {
			return errClosed
		}
		if err := c.Cmd.Start(); err != nil {
			return err
		}
		c.thread.cmds[c] = struct{}{}
		return nil
	})
	if err != nil {
		return err
	}
	go func() {
		c.err = c.Cmd.Wait()
		c.thread.mu.Lock()
		delete(c.thread.cmds, c)
		c.thread.mu.Unlock()
		close(c.done)
	}()
	return nil
}

// Wait waits for the end of a started command; its errors are exec.Cmd's.
func (c *Cmd) Wait() error {
	<-c.done
	return c.err
}

// Done is closed when the started command has ended and was waited for.
func (c *Cmd) Done() <-chan struct{} { return c.done }

// Run starts the command and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns what it wrote to its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the command and returns what it wrote to its standard
// output and standard error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// StdoutPipe returns a pipe from the command's standard output. It ends when
// the command and its children have closed theirs; the caller closes it.
func (c *Cmd) StdoutPipe() (io.ReadCloser, error) { return c.pipe(&c.Stdout) }

// StderrPipe is StdoutPipe for the standard error.
func (c *Cmd) StderrPipe() (io.ReadCloser, error) { return c.pipe(&c.Stderr) }

// pipe differs from exec.Cmd's in that Wait, which runs at once, does not close it.
func (c *Cmd) pipe(end *io.Writer) (io.ReadCloser, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	*end = w
	c.pipes = append(c.pipes, w)
	return r, nil
}

// Signal sends sig to the command alone, not to its children.
func (c *Cmd) Signal(sig os.Signal) error { return c.Process.Signal(sig) }

// Stop asks the command to end by SIGTERM, kills it after patience, and waits.
func (c *Cmd) Stop(patience time.Duration) error {
	if err := c.Signal(syscall.SIGTERM); err != nil && !c.ended() {
		return err
	}
	select {
	case <-c.done:
	case <-time.After(patience):
		_ = c.kill()
	}
	return c.Wait()
}

// Kill ends the command and its children by SIGKILL, and waits.
func (c *Cmd) Kill() {
	_ = c.kill()
	<-c.done
}

func (c *Cmd) kill() error {
	if c.ended() {
		return os.ErrProcessDone
	}
	return syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
}

func (c *Cmd) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// tail keeps the last bytes that were written to it, for error messages.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 2 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - tailSize; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

// String returns what was written last, without blanks around it.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
