// Keeps the page as the server would show it now. A stream says that there is
// something new; then the page is fetched again, and the parts with data-live
// are put in the place of the old ones. Without script all works by reloading.
"use strict";
(() => {
	const beat = 1000 * (document.body.dataset.beat || 30); // "for 5 min" grows old by itself
	let url = location.href;
	let stream, running, again, late;

	// busy tells whether somebody is writing in a part, or has marked some of it,
	// which must stay then.
	const busy = (part) => (!getSelection().isCollapsed && getSelection().containsNode(part, true)) ||
		[...part.querySelectorAll("input, textarea, select")].some(
			(field) => field === document.activeElement || (field.value !== field.defaultValue && field.defaultValue !== undefined));

	const replace = (old, fresh) => {
		if (old.innerHTML === fresh.innerHTML || busy(old)) return;
		const focus = old.contains(document.activeElement) && document.activeElement;
		const key = focus && (focus.id ? "#" + CSS.escape(focus.id) : focus.href && `a[href="${CSS.escape(focus.getAttribute("href"))}"]`);
		for (const open of old.querySelectorAll("details[open][id]")) {
			fresh.querySelector("#" + CSS.escape(open.id))?.setAttribute("open", "");
		}
		const nth = key ? [...old.querySelectorAll(key)].indexOf(focus) : -1; // links may lead to the same
		old.replaceWith(fresh);
		if (key) [...fresh.querySelectorAll(key)].slice(0, nth + 1).at(-1)?.focus({ preventScroll: true });
	};

	const refresh = async () => {
		if (running) { again = true; return; }
		running = true;
		try {
			const response = await fetch(url, { headers: { Accept: "text/html" }, cache: "no-store", credentials: "same-origin" });
			if (response.redirected) { location.reload(); return; } // the session has ended
			if (!response.ok) throw new Error(response.status);
			const page = new DOMParser().parseFromString(await response.text(), "text/html");
			for (const old of document.querySelectorAll("[data-live][id]")) {
				const fresh = page.getElementById(old.id);
				if (fresh) replace(old, document.adoptNode(fresh));
				else if (old.dataset.live === "alone") { location.reload(); return; } // there is more on the page now
			}
			mark();
			document.title = page.title;
			document.body.classList.remove("stale");
		} catch {
			document.body.classList.add("stale");
		} finally {
			running = false;
			if (again) { again = false; refresh(); }
		}
	};

	const listen = () => {
		if (stream) return;
		stream = new EventSource(document.body.dataset.live);
		stream.onmessage = () => {
			refresh();
			clearTimeout(late);
			late = setTimeout(refresh, 700); // the past is written down a moment later
		};
		stream.onopen = refresh; // what was missed meanwhile
		stream.onerror = () => document.body.classList.add("stale");
	};
	const rest = () => { stream?.close(); stream = undefined; };

	if (document.querySelector("[data-live][id]")) {
		listen();
		setInterval(() => document.hidden || refresh(), beat);
		// A browser allows few streams; one that nobody looks at needs none.
		document.addEventListener("visibilitychange", () => document.hidden ? rest() : listen());
		addEventListener("pagehide", rest);
		addEventListener("pageshow", () => document.hidden || listen());
	}

	// A filter shows what it finds while one types.
	for (const form of document.querySelectorAll("form[data-filter]")) {
		let timer;
		form.classList.add("instant");
		const look = () => {
			const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
			url = new URL("?" + query, location.href).href;
			history.replaceState(null, "", url);
			refresh();
		};
		form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, 150); });
		form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(timer); look(); });
	}

	// A part of a picture says what it is, also to who cannot point at it: by a touch,
	// and of pictures that one comes to with the keyboard by the arrow keys.
	let chosen; // x is where in its picture
	const partsOf = (picture) => [...picture.querySelectorAll("rect")].sort((a, b) => a.x.baseVal.value - b.x.baseVal.value);
	const at = (parts) => parts.findLastIndex((part) => part.x.baseVal.value <= chosen.x);
	const mark = () => { // again, when the picture is a new one
		const picture = chosen?.id && document.getElementById(chosen.id);
		if (!picture || picture.querySelector(".at")) return;
		const parts = partsOf(picture);
		parts[at(parts)]?.classList.add("at");
	};
	const tell = (picture, part) => {
		const title = part?.querySelector("title");
		if (!title) return;
		document.querySelector(".at")?.classList.remove("at");
		chosen = { id: picture.id, x: part.x.baseVal.value };
		mark();
		picture.closest("section, main").querySelector(".said").textContent = title.textContent;
	};
	for (const said of document.querySelectorAll(".said")) said.textContent = said.dataset.hint;
	document.addEventListener("click", (event) => {
		const picture = event.target.closest?.(".areas, .bars");
		if (picture) tell(picture, event.target.closest("rect"));
	});
	document.addEventListener("keydown", (event) => {
		const alone = !event.altKey && !event.ctrlKey && !event.metaKey; // else it is the browser's
		const step = alone && { ArrowLeft: -1, ArrowRight: 1 }[event.key];
		const picture = event.target.closest?.(".areas, .bars");
		if (!step || !picture) return;
		event.preventDefault();
		const parts = partsOf(picture);
		const here = chosen?.id === picture.id ? at(parts) : step > 0 ? -1 : parts.length;
		tell(picture, parts[Math.min(Math.max(here + step, 0), parts.length - 1)]);
	});

	// What cannot be undone is asked about.
	document.addEventListener("click", (event) => {
		const question = event.target.closest("[data-ask]")?.dataset.ask;
		if (question && !confirm(question)) event.preventDefault();
	});

	// A button copies what is in a field, and says so. Without TLS a browser has no
	// clipboard for pages of other machines, but copies what is marked.
	const copy = async (field) => {
		try {
			await navigator.clipboard.writeText(field.value);
		} catch {
			field.select();
			if (!document.execCommand("copy")) return false;
		}
		return true;
	};
	document.documentElement.classList.add("script");
	document.addEventListener("click", async (event) => {
		const button = event.target.closest("[data-copy]");
		if (button && await copy(document.getElementById(button.dataset.copy))) button.textContent = "Copied";
	});
})();
