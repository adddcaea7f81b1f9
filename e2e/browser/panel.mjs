// The panels of the official front end that list jobs: what waits and runs there is cancelled, what
// has ended is looked at, opened, deleted and cleared.
//
//	node panel.mjs 127.0.0.1:8188 FOLDER
import assert from "node:assert/strict";
import { play } from "./play.mjs";
import { hasPicture, isRunning } from "./steps.mjs";

// submit runs the workflow that is open, and returns the id of the job.
async function submit(editor) {
  const answer = await answered(editor, "/api/prompt", () => editor.run());
  return (await answer.json()).prompt_id;
}

// finish loads a workflow, runs it, and waits until it has ended.
async function finish(editor, name, tab = name) {
  await editor.load(name, tab);
  const id = await submit(editor);
  await editor.ended();
  return id;
}

const row = ({ page }, id) => page.locator(`[data-job-id="${id}"]`);
const rows = ({ page }) => page.locator("[data-job-id]").evaluateAll((all) => all.map((e) => e.dataset.jobId));

// says waits until the panel's headline is a text.
const says = ({ page }, text) => page.getByTestId("queue-progress-overlay").getByText(text, { exact: true }).waitFor();

// press presses a button that a job has while the mouse is on it; pick picks from its menu. The
// list may move below the mouse: then the button is gone, and the mouse must come again.
async function press(editor, id, name) {
  for (let tries = 1; ; tries++) {
    await row(editor, id).hover();
    try {
      return await row(editor, id).getByRole("button", { name }).click({ timeout: 6000 });
    } catch (err) {
      if (tries === 10) throw err;
      await editor.page.mouse.move(1, 1);
    }
  }
}

async function pick(editor, id, item) {
  await press(editor, id, "More");
  await editor.page.getByRole("menuitem", { name: item }).click();
}

// answered does something, and returns what the server answers to the request that it makes.
async function answered({ page }, path, act) {
  const answer = page.waitForResponse((r) => r.request().method() === "POST" && r.url().endsWith(path));
  await act();
  return answer;
}

// view looks at the result of a job in the gallery.
async function view(editor, id, look) {
  await press(editor, id, "View");
  await look.waitFor();
  await editor.shot("gallery");
  await editor.page.keyboard.press("Escape");
  await look.waitFor({ state: "detached" });
}

// opens opens the workflow of a job, and returns the titles of its nodes.
async function opens(editor, id, item, nodes) {
  await pick(editor, id, item);
  await editor.opened(`Job ${id}`, nodes);
  return editor.titles();
}

const jobs = {};

const steps = {
  async "lists jobs"(editor) {
    await editor.ready();
    await editor.draw();
    for (const name of ["drawing", "text", "failing"]) jobs[name] = await finish(editor, name);
    await editor.load("endless");
    for (const name of ["running", "waiting", "last"]) jobs[name] = await submit(editor);
    await editor.sees(2, isRunning);
    await editor.page.getByTestId("queue-overlay-toggle").click();
    await says(editor, "1 running, 2 queued");
    await row(editor, jobs.drawing).waitFor();
    assert.deepEqual(await rows(editor), Object.values(jobs).reverse());
    const title = async (name) => (await row(editor, jobs[name]).innerText()).split("\n")[0];
    const picture = row(editor, jobs.drawing).getByRole("img");
    return { drawing: await title("drawing"), failing: await title("failing"), picture: await picture.getAttribute("src") };
  },

  async "cancels a waiting job"(editor) {
    const answer = await answered(editor, `/api/jobs/${jobs.waiting}/cancel`, () => press(editor, jobs.waiting, "Cancel"));
    await says(editor, "1 running, 1 queued");
    return { status: answer.status(), ...(await answer.json()) };
  },

  async "cancels the running job"(editor) {
    const answer = await answered(editor, `/api/jobs/${jobs.running}/cancel`, () => press(editor, jobs.running, "Cancel"));
    await says(editor, "1 running");
    const last = await answered(editor, `/api/jobs/${jobs.last}/cancel`, () => pick(editor, jobs.last, "Cancel job"));
    await says(editor, "Job Queue");
    await editor.idle();
    assert.deepEqual(await rows(editor), Object.values(jobs).reverse());
    return { first: await answer.json(), last: await last.json() };
  },

  async "shows a picture and a text"(editor) {
    const picture = editor.page.getByRole("dialog").locator('img[src*="filename=drawing_00001_.png"]');
    await view(editor, jobs.drawing, picture);
    const text = editor.page.getByRole("dialog").getByText("42", { exact: true });
    await view(editor, jobs.text, text);
    await editor.page.getByRole("button", { name: /^Assets \(/ }).click(); // it opens beside the gallery
    return {};
  },

  // Of a job that ended well, one that failed, one that was stopped, and one that never began.
  async "opens workflows"(editor) {
    return {
      drawing: await opens(editor, jobs.drawing, "Open as workflow in new tab", 2),
      failing: await opens(editor, jobs.failing, "Open workflow in new tab", 3),
      stopped: await opens(editor, jobs.running, "Open workflow in new tab", 3),
      waiting: await opens(editor, jobs.waiting, "Open workflow in new tab", 3),
    };
  },

  async "deletes a failed job"(editor) {
    await answered(editor, "/api/history", () => press(editor, jobs.failing, "Delete"));
    await row(editor, jobs.failing).waitFor({ state: "detached" });
    const { jobs: left } = await (await editor.page.request.get("/api/jobs")).json();
    return { listed: left.some(({ id }) => id === jobs.failing) };
  },

  async "clears the queue"(editor) {
    await editor.load("endless", "again");
    const ids = [await submit(editor), await submit(editor), await submit(editor)];
    await editor.sees(2, isRunning);
    await says(editor, "1 running, 2 queued");
    await answered(editor, "/api/queue", () => editor.page.getByRole("button", { name: "Clear queued" }).click());
    await says(editor, "1 running");
    for (const id of ids.slice(1)) await row(editor, id).waitFor({ state: "detached" });
    await editor.cancel();
    await says(editor, "Job Queue");
    return {};
  },

  async "clears the history"(editor) {
    const { page } = editor;
    await page.getByTestId("queue-progress-overlay").getByRole("button", { name: "More options" }).click();
    await page.getByRole("menuitem", { name: "Clear job history" }).click();
    await answered(editor, "/api/history", () => page.getByRole("dialog").getByRole("button", { name: "Clear", exact: true }).click());
    await page.locator("[data-job-id]").first().waitFor({ state: "detached" });
    return { jobs: (await (await page.request.get("/api/jobs")).json()).jobs };
  },

  // The other panel has the same list at the side.
  async "lists jobs at the side"(editor) {
    const { page } = editor;
    await page.evaluate(() => window.app.extensionManager.setting.set("Comfy.Queue.QPOV2", true));
    const id = await finish(editor, "drawing", "side");
    await page.getByTestId("queue-overlay-toggle").click();
    const side = page.getByTestId("job-history-sidebar");
    await side.locator(`[data-job-id="${id}"]`).waitFor();
    const [title] = (await side.locator(`[data-job-id="${id}"]`).innerText()).split("\n");
    await editor.shot("side");
    await page.getByTestId("queue-overlay-toggle").click();
    await side.waitFor({ state: "detached" });
    return { title };
  },

  // A drawing in the format SVG is a picture on its node.
  async "shows a vector drawing"(editor) {
    await finish(editor, "vector");
    const { picture, source } = await editor.sees(1, hasPicture);
    return { picture, source };
  },
};

const [address, shots] = process.argv.slice(2);
await play(address, { steps, shots, name: "panel" });
