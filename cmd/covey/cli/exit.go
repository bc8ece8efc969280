package cli

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coveydb/covey/client"
	"github.com/coveydb/covey/cmd/covey/server"
)

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitDenied      = 4
	exitConflict    = 5
	exitUnavailable = 6
	exitLimited     = 7
	exitPartly      = 8
	exitUnproven    = 9
	exitInterrupted = 130
)

// usageError is a command line that cannot be run as it is.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// partlyError is a command that did some of its work.
type partlyError struct {
	done, all int   // all is 0 when nobody knows
	err       error // the first failure
}

func (e *partlyError) Error() string {
	if e.all == 0 {
		return fmt.Sprintf("%d done, then: %v", e.done, e.err)
	}
	return fmt.Sprintf("%d of %d done, the first failure is: %v", e.done, e.all, e.err)
}

func (e *partlyError) Unwrap() error { return e.err }

// unavailableError is a cluster that answers but cannot work.
type unavailableError struct{ reason string }

func (e *unavailableError) Error() string { return e.reason }

// foundError is what this command found out by itself, in its own words; kind
// is the error that it counts as.
type foundError struct {
	text string
	kind error
}

func (e *foundError) Error() string { return e.text }
func (e *foundError) Unwrap() error { return e.kind }

// adviceError is an error together with the next thing to try.
type adviceError struct {
	err    error
	advice string
}

func (e *adviceError) Error() string { return e.err.Error() }
func (e *adviceError) Unwrap() error { return e.err }

// codeError is an end with an exit code of its own.
type codeError struct {
	code int
	err  error // nil = there is nothing to say
}

func (e *codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

// exit reports err, which is that of cmd, and returns the exit code.
func (a *app) exit(ctx context.Context, cmd *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	var own *codeError
	if errors.As(err, &own) && own.err == nil {
		return own.code
	}
	code := exitCode(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		a.note("interrupted")
		return exitInterrupted
	}
	text := err.Error()
	if advice := adviceFor(cmd, err); advice != "" {
		if !strings.HasSuffix(text, "?") {
			text = strings.TrimSuffix(text, ".") + "."
		}
		text += " " + advice
	}
	a.note("%s", text)
	return code
}

// exitCode sorts errors into codes.
func exitCode(err error) int {
	var usage *usageError
	var partly *partlyError
	var unavailable *unavailableError
	var config *server.ConfigError
	var unproven *unprovenError
	var own *codeError
	switch {
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &unproven):
		return exitUnproven
	case errors.As(err, &usage), errors.As(err, &config):
		return exitUsage
	case errors.As(err, &partly):
		return exitPartly
	case errors.Is(err, client.ErrUnknown):
		return exitFailed
	case errors.Is(err, client.ErrNotFound):
		return exitNotFound
	case errors.Is(err, client.ErrDenied):
		return exitDenied
	case errors.Is(err, client.ErrConflict):
		return exitConflict
	case errors.Is(err, client.ErrLimited):
		return exitLimited
	case errors.Is(err, client.ErrUnavailable), errors.As(err, &unavailable):
		return exitUnavailable
	}
	return exitFailed
}

// adviceFor returns what to try next after an error of cmd, "" when there is
// nothing to say.
func adviceFor(cmd *cobra.Command, err error) string {
	var a *adviceError
	var e *client.Error
	var usage *usageError
	switch {
	case errors.As(err, &a):
		return a.advice
	case errors.As(err, &usage):
		return "Try: " + cmd.CommandPath() + " --help"
	case !errors.As(err, &e):
		return ""
	case secureAdvice(e) != "":
		return secureAdvice(e)
	case e.Unreachable():
		return "Is the node up? Try: covey cluster status"
	case e.Unknown:
		return "Read it before you repeat the change"
	case errors.Is(err, client.ErrUnavailable):
		return "Nothing was changed, try again; why it is so says: covey cluster status"
	case errors.Is(err, client.ErrLimited) && e.RetryAfter > 0:
		return fmt.Sprintf("Try again in %.0f s", math.Ceil(e.RetryAfter.Seconds()))
	case errors.Is(err, client.ErrDenied):
		return "Give the right key with --key-file or " + envKey + ", or the cluster's root key with --root-key-file or " + envRootKey
	}
	return ""
}

// secureAdvice is adviceFor a connection that came to nothing over TLS.
func secureAdvice(e *client.Error) string {
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(e, &unknown):
		return "Trust the CA of the node's certificate: --ca-file or COVEY_CA_FILE"
	case e.Err != nil && strings.Contains(e.Err.Error(), "tls: certificate required"): // crypto/tls has no type for it
		return "The node lets in clients with a certificate only: give --client-cert and --client-key"
	case e.Status == http.StatusBadRequest && e.Reason == "":
		return "If the node serves HTTPS, name it by https:// in --endpoint"
	}
	return ""
}

// confirm asks before something is destroyed: on a terminal the user, elsewhere
// --yes has to be there. what says what and how many.
func (a *app) confirm(ctx context.Context, yes bool, what string) error {
	if yes {
		return nil
	}
	if !a.env.StdinTerminal {
		return usagef("%s needs --yes when nobody can be asked", what)
	}
	fmt.Fprintf(a.env.Stderr, "%s? [y/N] ", what)
	text, err := a.typed(ctx)
	switch text = strings.ToLower(strings.TrimSpace(text)); {
	case err != nil:
		return err
	case text == "y" || text == "yes":
		return nil
	}
	return errors.New("nothing was changed")
}

// ask asks on the terminal for a secret, which is not shown.
func (a *app) ask(ctx context.Context, what string) (string, error) {
	show, err := a.env.Hush()
	if err != nil {
		return "", fmt.Errorf("the terminal would show it: %w", err)
	}
	defer fmt.Fprintln(a.env.Stderr)
	defer show()
	fmt.Fprintf(a.env.Stderr, "%s: ", what)
	return a.typed(ctx)
}

// typed reads a line of a terminal, without its end.
func (a *app) typed(ctx context.Context) (string, error) {
	answer := make(chan string, 1)
	go func() { // ends with the process: a read from a terminal cannot be taken back
		line, _ := bufio.NewReader(a.env.Stdin).ReadString('\n')
		answer <- strings.TrimRight(line, "\r\n")
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case text := <-answer:
		return text, nil
	}
}
