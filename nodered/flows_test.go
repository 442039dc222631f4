package nodered

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// flowsFile is what people import.
const flowsFile = "flows.json"

// Ids in it that people change into their own.
const (
	placeholderAnn = "001122334455"
	placeholderBen = "66778899aabb"
)

// node is a node of a flow, as Node-RED exports it.
type node map[string]any

func (n node) text(key string) string {
	s, _ := n[key].(string)
	return s
}

// wires are the ids that each output leads to.
func (n node) wires() (outputs [][]string) {
	for _, output := range list(n["wires"]) {
		var ids []string
		for _, id := range list(output) {
			ids = append(ids, id.(string))
		}
		outputs = append(outputs, ids)
	}
	return outputs
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func readFlows(t *testing.T, edit func(string) string) (nodes []node) {
	t.Helper()
	text, err := os.ReadFile(flowsFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(edit(string(text))), &nodes); err != nil {
		t.Fatal(err)
	}
	return nodes
}

func unchanged(text string) string { return text }

// asUser changes the flows as a user does: the broker's address, and the ids.
func asUser(t *testing.T, host, port, ann, ben string) []node {
	t.Helper()
	nodes := readFlows(t, strings.NewReplacer(placeholderAnn, ann, placeholderBen, ben).Replace)
	for _, n := range nodes {
		if n["type"] == "mqtt-broker" {
			n["broker"], n["port"] = host, port
		}
	}
	return nodes
}

// listeners adds a node beside each debug node that writes what comes to
// Node-RED's log: told, and a JSON list of the debug node's name and the payload.
func listeners(nodes []node) []node {
	for _, d := range slices.Clone(nodes) {
		if d["type"] != "debug" {
			continue
		}
		ear := node{
			"id": "ear" + d.text("id"), "type": "function", "z": d["z"], "name": "told", "wires": []any{},
			"func": fmt.Sprintf("node.log(JSON.stringify([%q, msg.payload]));", d.text("name")),
		}
		for _, n := range nodes {
			for i, output := range n.wires() {
				if slices.Contains(output, d.text("id")) {
					all := list(n["wires"])
					all[i] = append(list(all[i]), ear["id"])
				}
			}
		}
		nodes = append(nodes, ear)
	}
	return nodes
}

// The nodes that every Node-RED has.
var ownNodes = []string{
	"tab", "group", "comment", "mqtt-broker", "mqtt in", "function", "switch", "change", "trigger", "rbe", "debug",
}

// What is shipped can be imported everywhere, is whole, and tells no secret.
func TestFlowsFile(t *testing.T) {
	nodes := readFlows(t, unchanged)
	byID := map[string]node{}
	brokers := 0
	for _, n := range nodes {
		if id := n.text("id"); !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(id) || byID[id] != nil {
			t.Errorf("id %q of %q is not one of Node-RED's, or not the only one", id, n["name"])
		}
		byID[n.text("id")] = n
		if !slices.Contains(ownNodes, n.text("type")) {
			t.Errorf("%q is not one of Node-RED's own nodes", n["type"])
		}
		if n["type"] == "mqtt-broker" {
			brokers++
		}
	}
	if brokers != 1 {
		t.Errorf("%d brokers to change, want 1", brokers)
	}
	for _, n := range nodes {
		if n["credentials"] != nil || n.text("user") != "" || n.text("password") != "" {
			t.Errorf("%q has credentials", n["name"])
		}
		for _, id := range slices.Concat(n.wires()...) {
			if byID[id] == nil || byID[id]["g"] != n["g"] {
				t.Errorf("a wire of %q ends nowhere, or in another group", n["name"])
			}
		}
		for _, key := range []string{"z", "g", "broker"} {
			id := n.text(key)
			if id != "" && n["type"] != "mqtt-broker" && byID[id] == nil {
				t.Errorf("%s of %q is nowhere", key, n["name"])
			}
		}
		if g := byID[n.text("g")]; g != nil {
			inside(t, n, g)
		} else if n["x"] != nil && n["type"] != "group" {
			t.Errorf("%q is in no group", n["name"])
		}
		// MQTT 5 would hide which messages the broker had kept.
		if n["type"] == "mqtt in" && n["rap"] != false {
			t.Errorf("%q keeps the retain flag as published", n["name"])
		}
	}
}

// inside checks that a node is listed in its group, and drawn in it.
func inside(t *testing.T, n, g node) {
	t.Helper()
	if !slices.Contains(list(g["nodes"]), n["id"]) {
		t.Errorf("%q is not among the nodes of group %q", n["name"], g["name"])
	}
	x, y := n["x"].(float64), n["y"].(float64)
	gx, gy := g["x"].(float64), g["y"].(float64)
	if x < gx || y < gy || x > gx+g["w"].(float64) || y > gy+g["h"].(float64) {
		t.Errorf("%q is drawn outside of its group %q", n["name"], g["name"])
	}
}
