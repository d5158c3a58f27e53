package lab_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/lab"
)

func TestBadParameters(t *testing.T) {
	v, _ := visit(t, lab.Config{})
	for _, c := range []struct{ query, field, value, remedy string }{
		{"scenario=flood", "scenario", "flood", "happy, slow, timeouts"},
		{"scenario=slow&seed=-1", "seed", "-1", "whole number"},
		{"seed=1e3", "seed", "1e3", "whole number"},
		{"speed=41", "speed", "41", "0 to 40"},
		{"speed=0.1", "speed", "0.1", "0.5 to 40"},
		{"speed=NaN", "speed", "NaN", "0 to 40"},
		{"latency=26", "latency", "26", "0 to 25"},
		{"lost=61", "lost", "61", "0 to 60"},
		{"failing=-5", "failing", "-5", "0 to 30"},
		{"kill=Inf", "kill", "Inf", "0 to"},
		{"seed=1&seed=2", "seed", "1, 2", "once"},
		{"scenario=%3Cscript%3E", "scenario", "&lt;script&gt;", "use happy"},
		{"seed=" + strings.Repeat("9", 1000), "seed", strings.Repeat("9", 80), "whole number"},
	} {
		for _, a := range []answer{v.get("/lab?" + c.query), v.post("/lab", c.query), v.post("/lab/kill", c.query)} {
			assert.Equal(t, http.StatusBadRequest, a.status, c.query)
			assert.Contains(t, a.body, "<code>"+c.field+"</code>", c.query)
			assert.Contains(t, a.body, "<code>"+c.value+"</code>", c.query)
			assert.Contains(t, strings.ToLower(a.body), c.remedy, c.query)
		}
		for _, path := range []string{"/lab/events?", "/lab/state?"} {
			assert.Equal(t, http.StatusBadRequest, v.get(path+c.query).status, path+c.query)
		}
	}
	huge := v.post("/lab", "scenario="+strings.Repeat("x", 8<<10))
	assert.Equal(t, http.StatusBadRequest, huge.status)
}

func TestOthersCannotStartRuns(t *testing.T) {
	v, _ := visit(t, lab.Config{})
	a := v.do(http.MethodPost, "/lab", nil, "Sec-Fetch-Site", "cross-site")
	assert.Equal(t, http.StatusForbidden, a.status)
	assert.Equal(t, http.StatusMethodNotAllowed, v.do(http.MethodPut, "/lab", nil).status)
	assert.Equal(t, http.StatusMethodNotAllowed, v.get("/lab/kill").status)
}

func TestOnlySoManyRunsPlay(t *testing.T) {
	v, _ := visit(t, lab.Config{MaxPlaying: 1})
	v.play("scenario=slow&speed=0.5")
	a := v.post("/lab", "scenario=timeouts")
	assert.Equal(t, http.StatusServiceUnavailable, a.status)
	assert.NotEmpty(t, a.header.Get("Retry-After"))
	assert.Contains(t, a.body, "busy")
}

func TestOldRunsAreForgotten(t *testing.T) {
	v, _ := visit(t, lab.Config{MaxPlaying: 1, MaxKept: 2})
	var queries []string
	for _, seed := range []string{"1", "2", "3"} {
		query := v.play("scenario=happy&speed=40&seed=" + seed)
		v.watch(query)
		queries = append(queries, query)
	}
	assert.Contains(t, v.get("/lab?"+queries[0]).body, "not played yet", "the oldest one")
	assert.Contains(t, v.get("/lab?"+queries[1]).body, "finished")
	assert.Contains(t, v.get("/lab?"+queries[2]).body, "finished")
}

func TestOnlySoManyStreams(t *testing.T) {
	v, _ := visit(t, lab.Config{MaxViewers: 1})
	query := v.play("scenario=slow&speed=0.5")
	first := v.stream(query)
	name, _ := first.next()
	require.Equal(t, "pieces", name)
	assert.Equal(t, http.StatusServiceUnavailable, v.get("/lab/events?"+query).status)
	assert.Equal(t, http.StatusOK, v.get("/lab/state?"+query).status, "they ask for the state")
}

func TestCloseEndsWhatPlays(t *testing.T) {
	v, l := visit(t, lab.Config{})
	query := v.play("scenario=slow&speed=0.5")
	require.NoError(t, l.Close(t.Context()))
	assert.Contains(t, v.get("/lab?"+query).body, "broke off")
	a := v.post("/lab", "scenario=happy")
	assert.Equal(t, http.StatusServiceUnavailable, a.status)
	assert.Contains(t, a.body, "closes")
}
