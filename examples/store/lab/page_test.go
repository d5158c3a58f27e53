package lab_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/lab"
)

func TestTheStreamSendsWhatChanges(t *testing.T) {
	v, _ := visit(t, lab.Config{})
	s := v.stream(v.play("scenario=doubleclick&speed=5"))
	name, first := s.next()
	require.Equal(t, "pieces", name)
	for _, side := range []string{"naive", "protected"} {
		for _, piece := range []string{"verdict", "screen", "counters", "picture", "ledger", "deliveries"} {
			assert.Contains(t, first, side+"-"+piece, "the first event has everything")
		}
	}
	assert.Contains(t, first, "say")
	fewer := false
	for {
		name, pieces := s.next()
		if name == "end" {
			break
		}
		require.Equal(t, "pieces", name)
		fewer = fewer || len(pieces) < len(first)
	}
	assert.True(t, fewer, "later events have what is new")
	name, _ = s.next()
	assert.Empty(t, name, "the stream ends with the run")
}

func TestWithoutScript(t *testing.T) {
	v, _ := visit(t, lab.Config{})
	before := v.get("/lab")
	assert.Equal(t, http.StatusOK, before.status)
	assert.NotContains(t, before.body, "http-equiv")
	assert.Contains(t, before.body, "not played yet")

	query := v.play("scenario=slow&speed=0.5")
	playing := v.get("/lab?" + query)
	assert.Contains(t, playing.body, `<noscript><meta http-equiv="refresh" content="2"></noscript>`)
	assert.Contains(t, playing.body, `data-query="`)
	assert.Contains(t, playing.body, "Kill the shop now")

	query = v.play("scenario=timeouts&speed=40")
	v.watch(query)
	after := v.get("/lab?" + query)
	assert.NotContains(t, after.body, "http-equiv")
	assert.Contains(t, after.body, "charge, again", "the finished run is in the page")
	assert.NotContains(t, after.body, "Kill the shop now")
}

func TestTheStateIsForThoseWithoutAStream(t *testing.T) {
	v, _ := visit(t, lab.Config{})
	assert.Equal(t, http.StatusNotFound, v.get("/lab/state?scenario=happy").status)
	assert.Equal(t, http.StatusNoContent, v.get("/lab/events?scenario=happy").status, "an EventSource must not come back")
	query := v.play("scenario=happy" + fast)
	end := v.watch(query)
	var state struct {
		Over   bool
		Pieces map[string]string
	}
	require.NoError(t, json.Unmarshal([]byte(v.get("/lab/state?"+query).body), &state))
	assert.True(t, state.Over)
	assert.Equal(t, end, state.Pieces)
}

func TestNothingIsInline(t *testing.T) {
	v, _ := visit(t, lab.Config{})
	query := v.play("scenario=doubleclick&kill=0.2" + fast)
	v.watch(query)
	page := v.get("/lab?" + query)
	policy := page.header.Get("Content-Security-Policy")
	assert.Contains(t, policy, "default-src 'none'")
	assert.NotContains(t, policy, "unsafe")
	assert.NotRegexp(t, `(?i)\sstyle=|\son[a-z]+=|<style|<script>|javascript:`, page.body)
	for _, path := range []string{"/lab/static/lab.css", "/lab/static/lab.js", "/lab/static/icon.svg"} {
		assert.Equal(t, http.StatusOK, v.get(path).status, path)
	}
}
