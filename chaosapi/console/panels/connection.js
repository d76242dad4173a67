// Whether the page still gets data. The server calls consoleBeat at each update; without it, body has the class
// `disconnected`, and an element `.disconnected-since` has the time of the last update.
{
  let last = Date.now();
  const limit = LIMIT_MS;
  const clock = (at) => localStorage.time === "local"
    ? new Date(at).toTimeString().slice(0, 8)
    : new Date(at).toISOString().slice(11, 19) + " UTC";
  const show = (lost) => {
    if (lost) document.querySelectorAll(".disconnected-since").forEach((each) => { each.textContent = clock(last) });
    document.body.classList.toggle("disconnected", lost);
  };
  window.consoleBeat = () => {
    last = Date.now();
    show(false);
  };
  setInterval(() => {
    const age = Date.now() - last;
    show(age > limit || (age > limit / 3 && window.socket?.connected === false));
  }, 500);
  // A console that was started again knows neither this page nor its session: only a new page can connect to it.
  setInterval(async () => {
    if (Date.now() - last < 2 * limit || window.socket?.connected) return;
    const answer = await fetch("/favicon.ico").catch(() => null);
    if (answer && answer.status < 500) location.reload();
  }, 3000);
}
