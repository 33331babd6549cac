// The cursor of the timelines follows the player of the song; a click on a timeline moves the player.
(() => {
  const player = () => document.querySelector("#mer-song audio");
  const move = (event) => {
    if (!event.target.closest || !event.target.closest("#mer-song")) return;
    const now = event.target.currentTime;
    for (const line of document.querySelectorAll(".mer-timeline")) {
      const share = Math.min(1, now / Number(line.dataset.seconds));
      line.style.setProperty("--mer-position", share);
    }
    for (const point of document.querySelectorAll(".mer-window")) {
      const { start, end } = point.dataset;
      point.classList.toggle("mer-now", Number(start) <= now && now < Number(end));
    }
  };
  const seek = (event) => {
    const line = event.target.closest && event.target.closest(".mer-timeline");
    if (!line || !player()) return;
    const box = line.getBoundingClientRect();
    player().currentTime = ((event.clientX - box.left) / box.width) * Number(line.dataset.seconds);
    player().play();
  };
  // media events do not bubble: they are caught on their way down
  for (const name of ["timeupdate", "seeking"]) document.addEventListener(name, move, true);
  document.addEventListener("click", seek);
})();
