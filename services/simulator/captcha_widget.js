"use strict";
// A stand-in for the provider's widget, with its face: `initAliyunCaptcha` and the callbacks. It proves nothing about
// whoever clicks. {behaviour} and {load} are filled in by the simulator.
(() => {
  const behaviour = "{behaviour}";
  const load = "{load}";
  const origin = new URL(document.currentScript.src).origin;
  if (load === "eval") try { window.eval("1"); } catch { /* the page's policy says no */ }
  if (load === "elsewhere") fetch("https://elsewhere.invalid/").catch(() => {});

  async function token(options) {
    const body = JSON.stringify({ scene: options.SceneId, ...window.AliyunCaptchaConfig });
    const answer = await fetch(`${origin}/captcha-widget/verify`, { method: "POST", body });
    options.success((await answer.json()).param);
  }

  function puzzle(options) {
    const place = document.querySelector(options.element);
    if (place.childElementCount) return;
    const box = document.createElement("div");
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Simulated puzzle");
    box.style.cssText = "border:1px solid #888;border-radius:8px;padding:12px;margin-bottom:12px";
    box.innerHTML = `<p style="margin:0 0 8px">Simulated puzzle: move the slider to the mark (70).</p>
      <div style="height:18px;position:relative"><span style="position:absolute;left:70%;transform:translateX(-50%)"
      aria-hidden="true">▼</span></div>
      <input type="range" min="0" max="100" value="0" aria-label="Slide to 70" style="width:100%">`;
    place.append(box);
    const slider = box.querySelector("input");
    slider.focus();
    slider.addEventListener("change", () => {
      if (Math.abs(Number(slider.value) - 70) > 2) return;
      box.remove();
      token(options);
    });
  }

  window.initAliyunCaptcha = (options) => {
    const button = document.querySelector(options.button);
    const mask = document.createElement("div"); // the real one leaves such parts in the page as well
    mask.id = "aliyunCaptcha-mask";
    mask.hidden = true;
    document.body.append(mask);
    options.getInstance?.({ refresh() {}, show() {}, hide() {} });
    button.addEventListener("click", () => {
      if (behaviour === "pass") token(options);
      else if (behaviour === "puzzle") puzzle(options);
      else if (behaviour === "error") options.onError?.({ code: "INIT_FAIL", msg: "simulated" });
      else options.fail?.({ verifyResult: false, verifyCode: behaviour, certifyId: "simulated" });
    });
  };
})();
