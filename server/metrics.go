package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are named as those of llama.cpp's server, but for the prefix.
type metrics struct {
	handler http.Handler

	prompt, cached, predicted prometheus.Counter
	processing, deferred      prometheus.Gauge
	firstToken                prometheus.Histogram
	requests                  *prometheus.CounterVec
	seconds                   *prometheus.HistogramVec
}

func newMetrics(s *Server) *metrics {
	r := prometheus.NewRegistry()
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "openelm_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "openelm_" + name, Help: help})
		r.MustRegister(g)
		return g
	}
	buckets := prometheus.ExponentialBuckets(0.005, 2, 16) // to 164 s
	m := &metrics{
		handler:    promhttp.HandlerFor(r, promhttp.HandlerOpts{}),
		prompt:     counter("prompt_tokens_total", "Tokens of prompts, those of the prefix cache included."),
		cached:     counter("prompt_tokens_cached_total", "Tokens of prompts that the prefix cache had."),
		predicted:  counter("tokens_predicted_total", "Tokens generated."),
		processing: gauge("requests_processing", "Requests that generate."),
		deferred:   gauge("requests_deferred", "Requests that wait for a place."),
		firstToken: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "openelm_time_to_first_token_seconds", Help: "From a request to its first token, the wait for a place included.", Buckets: buckets,
		}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "openelm_requests_total", Help: "Requests that are over, by endpoint and status; 499 is a client that left.",
		}, []string{"endpoint", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "openelm_request_seconds", Help: "Time of requests, by endpoint.", Buckets: buckets,
		}, []string{"endpoint"}),
	}
	r.MustRegister(m.firstToken, m.requests, m.seconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "openelm_prefix_cache_sessions", Help: "Sessions in the prefix cache."}, func() float64 {
			n, _ := s.cache.size()
			return float64(n)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "openelm_prefix_cache_bytes", Help: "Size of the prefix cache."}, func() float64 {
			_, n := s.cache.size()
			return float64(n)
		}))
	return m
}

func (m *metrics) serve(w *response, r *http.Request) error {
	w.deadline(answerTimeout)
	m.handler.ServeHTTP(w, r)
	return nil
}

// finish counts a request.
func (m *metrics) finish(endpoint string, status int, d time.Duration) {
	m.requests.WithLabelValues(endpoint, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(endpoint).Observe(d.Seconds())
}
