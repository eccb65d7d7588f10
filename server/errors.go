package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-openelm/go-openelm/openelm"
)

// apiError is an error as OpenAI's API tells it.
type apiError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`

	status     int
	retryAfter bool
}

func (e *apiError) Error() string { return e.Message }

func newError(status int, kind, code, format string, args ...any) *apiError {
	e := &apiError{Message: fmt.Sprintf(format, args...), Type: kind, status: status}
	if code != "" {
		e.Code = &code
	}
	return e
}

// refuse is the error of a request that is wrong. What it names comes from
// outside, and is cut to a reasonable length.
func refuse(status int, code, format string, args ...any) *apiError {
	return newError(status, "invalid_request_error", code, format, args...)
}

// invalid is the error of a parameter.
func invalid(param, format string, args ...any) *apiError {
	e := refuse(http.StatusBadRequest, "", format, args...)
	if len(param) > 100 {
		param = param[:100]
	}
	e.Param = &param
	return e
}

// busy is the error of a request that may well succeed later.
func busy(status int, code, format string, args ...any) *apiError {
	e := newError(status, "server_busy", code, format, args...)
	e.retryAfter = true
	return e
}

// errGone is the error of a request whose client takes no answer any more.
var errGone = errors.New("server: the client is gone")

// asAPIError is what to tell a client about err. Errors that are not its own
// fault are told without their details, which are for the log.
func asAPIError(err error) *apiError {
	var e *apiError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, openelm.ErrContextFull):
		return refuse(http.StatusBadRequest, "context_length_exceeded", "%v", err)
	case errors.Is(err, openelm.ErrToken), errors.Is(err, openelm.ErrArgument), errors.Is(err, openelm.ErrEmpty), errors.Is(err, openelm.ErrNoChoice):
		return refuse(http.StatusBadRequest, "", "%v", err)
	case errors.Is(err, openelm.ErrQueueFull):
		return busy(http.StatusTooManyRequests, "queue_full", "%v", err)
	case errors.Is(err, openelm.ErrMemory):
		return busy(http.StatusServiceUnavailable, "not_enough_memory", "%v", err)
	case errors.Is(err, errStopped):
		return busy(http.StatusServiceUnavailable, "shutting_down", "the server is shutting down")
	default:
		return newError(http.StatusInternalServerError, "server_error", "", "the server could not answer; its log says why")
	}
}

// errStopped is the cause of the end of requests that Close cuts off.
var errStopped = errors.New("server: closed")

// gone reports whether err is that of a client that left.
func gone(err error) bool { return errors.Is(err, errGone) || errors.Is(err, context.Canceled) }
